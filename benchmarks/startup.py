"""What comes before the first video: starting the commands, importing, loading, tracing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.processes import in_fresh_process
from benchmarks.timing import report_progress

_ROOT = Path(__file__).resolve().parents[1]
_MODEL = "HierarchicalLstmModel"


def measure(settings) -> list[dict]:
    """Rows by what is started, in seconds of wall-clock: the best of several starts for commands, one for the rest."""
    commands = {
        "python": ["-c", "pass"],
        "import yt8m_distill": ["-c", "import yt8m_distill"],
        "train.py --help": ["train.py", "--help"],
        "inference.py --help": ["inference.py", "--help"],
        "import tensorflow": ["-c", "import tensorflow"],
        "import yt8m_distill.models": ["-c", "import yt8m_distill.models"],
    }
    rows = []
    for name, arguments in list(commands.items())[: 3 if settings.smoke else None]:
        report_progress(f"startup: {name}")
        seconds = min(_seconds_of_command(arguments) for _ in range(settings.startup_repeats))
        rows.append({"what": name, "seconds": seconds})
    report_progress("startup: a small model")
    rows += in_fresh_process(measure_small_model, settings)
    for budget in settings.budgets[:1] if settings.smoke else (None, settings.budgets[0]):
        report_progress(f"startup: {_MODEL}, {budget or 'all'} frames")
        rows += in_fresh_process(measure_first_prediction, settings, budget)
    return rows


def measure_small_model(settings) -> list[dict]:
    """`load_model` and a whole `inference.py` of a trained `LogisticModel` of frame averages, on one small file."""
    import numpy as np

    from benchmarks.records import write_records
    from yt8m_distill.models import ModelConfig, load_model
    from yt8m_distill.training import TrainingConfig, train

    train_dir = os.path.join(settings.work_dir, "startup")
    lengths = np.full(8, min(30, settings.max_frames))
    (records,) = write_records(settings, "startup", lengths)
    sizes = (settings.feature_names, settings.feature_sizes, settings.num_classes, settings.max_frames)
    train(ModelConfig("FrameLevelLogisticModel", *sizes), TrainingConfig(train_dir, records, max_steps=1))
    start = time.perf_counter()
    load_model(train_dir)
    seconds = time.perf_counter() - start
    arguments = [f"--train_dir={train_dir}", f"--input_data_pattern={records}"]
    csv = os.path.join(settings.work_dir, "startup.csv")
    whole = _seconds_of_command(["inference.py", *arguments, f"--output_file={csv}"])
    return [
        {"what": "load_model, FrameLevelLogisticModel", "seconds": seconds},
        {"what": "inference.py on 8 videos, FrameLevelLogisticModel", "seconds": whole},
    ]


def measure_first_prediction(settings, budget: int | None) -> list[dict]:
    """Making an H-RNN and its input pipeline, and the first and the second time that it predicts 8 videos."""
    import numpy as np

    from benchmarks.records import write_records
    from yt8m_distill.data import evaluation_dataset
    from yt8m_distill.models import ModelConfig, predict_batches

    sizes = (settings.feature_names, settings.feature_sizes, settings.num_classes, settings.max_frames)
    config = ModelConfig(_MODEL, *sizes, num_sampled_frames=budget, hyperparameters=settings.models[_MODEL])
    files = write_records(settings, "startup", np.full(8, settings.max_frames))
    moments = [time.perf_counter()]
    model = config.build()
    moments.append(time.perf_counter())
    dataset = evaluation_dataset(files, model.schema, 8, model.sampler)
    moments.append(time.perf_counter())
    for _ in range(2):
        for batch in predict_batches(model, dataset):
            np.asarray(batch["predictions"])
        moments.append(time.perf_counter())
    names = ("create the model", "make the input pipeline", "predict 8 videos, tracing", "predict 8 videos again")
    frames = budget or "all"
    return [
        {"what": f"{_MODEL}, {frames} frames: {name}", "seconds": after - before}
        for name, (before, after) in zip(names, zip(moments, moments[1:]))
    ]


def _seconds_of_command(arguments):
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=_ROOT, check=True, capture_output=True)
    return time.perf_counter() - start

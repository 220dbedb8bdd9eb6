"""`make demo`: the whole system on a small synthetic dataset, in minutes.

Writes frame-level records in the official format; trains a see-it-all teacher, a few-frame baseline and a few-frame
student distilled from the teacher; evaluates the three; writes a submission CSV; exports the student and serves one
record from the SavedModel. Each step is one of the package's own commands, printed as it runs.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time

from absl import flags

from yt8m_distill.cli import eval as eval_command
from yt8m_distill.cli import export_model, inference, train
from yt8m_distill.cli.command import OK, run_command

NUM_CLASSES = 60
NUM_TRAIN_VIDEOS, NUM_VALIDATION_VIDEOS = 800, 500
NUM_SAMPLED_FRAMES = 6
# The student starts from its teacher, so the baseline gets as many passes as the two together.
_TEACHER_EPOCHS, _STUDENT_EPOCHS = 4, 2


def main(argv=None) -> int:
    return run_command("demo", "trains teacher, baseline and student on synthetic records.", _define_flags, _run, argv)


def _define_flags(groups):
    groups.add("Demo", flags.DEFINE_string, "output_dir", "demo_output", "Where everything goes.")
    groups.add("Demo", flags.DEFINE_integer, "seed", 0, "Seed of the data and of the training.", lower_bound=0)


def _run(values):
    started = time.perf_counter()
    output = values.output_dir
    _write_records(os.path.join(output, "data"), values.seed)
    rows = [
        _train_and_evaluate(output, name, values.seed, flags_of_model)
        for name, flags_of_model in {
            "teacher": [f"--num_epochs={_TEACHER_EPOCHS}", "--base_learning_rate=0.01"],
            "uniform": [
                f"--num_sampled_frames={NUM_SAMPLED_FRAMES}",
                f"--num_epochs={_TEACHER_EPOCHS + _STUDENT_EPOCHS}",
                "--base_learning_rate=0.01",
            ],
            "student": [
                f"--num_sampled_frames={NUM_SAMPLED_FRAMES}",
                "--distillation=serial",
                "--recipe=published",
                f"--teacher_dir={output}/teacher",
                "--student_init=teacher",
                f"--num_epochs={_STUDENT_EPOCHS}",
                "--base_learning_rate=0.003",
            ],
        }.items()
    ]
    csv, saved_model = os.path.join(output, "submission.csv"), os.path.join(output, "saved_model")
    student, records = f"--train_dir={output}/student", f"--input_data_pattern={output}/data/validate*.tfrecord"
    _command(inference, "inference.py", student, records, f"--output_file={csv}")
    _remove(saved_model)
    _command(export_model, "export_model.py", student, f"--output_dir={saved_model}")
    _serve_one_record(saved_model, f"{output}/data/validate0000.tfrecord")
    with open(csv) as file:
        print(f"\n{csv}:\n" + "".join(file.readline()[:100].rstrip() + " ...\n" for _ in range(3)))
    _print_table(rows)
    print(f"\n{time.perf_counter() - started:.0f} seconds. Everything is in {output}/.")


def _write_records(directory, seed):
    from yt8m_distill.data.synthetic import SyntheticVideos, write_synthetic_shards

    print(f"Writing {NUM_TRAIN_VIDEOS} + {NUM_VALIDATION_VIDEOS} synthetic videos to {directory} ...", flush=True)
    _remove(directory)
    videos = SyntheticVideos(NUM_CLASSES, seed)
    write_synthetic_shards(directory, "train", videos, 0, NUM_TRAIN_VIDEOS, num_shards=8)
    write_synthetic_shards(directory, "validate", videos, NUM_TRAIN_VIDEOS, NUM_VALIDATION_VIDEOS, num_shards=2)


def _remove(directory):
    """What an earlier demo left."""
    import tensorflow as tf

    if tf.io.gfile.exists(directory):
        tf.io.gfile.rmtree(directory)


def _train_and_evaluate(output, name, seed, flags_of_model):
    train_dir, metrics_file = f"--train_dir={output}/{name}", f"{output}/{name}.json"
    _command(
        train,
        "train.py",
        train_dir,
        "--start_new_model",
        f"--train_data_pattern={output}/data/train*.tfrecord",
        "--frame_features",
        "--feature_names=rgb,audio",
        "--feature_sizes=1024,128",
        f"--num_classes={NUM_CLASSES}",
        "--model=HierarchicalLstmModel",
        "--lstm_cells=32",
        "--lstm_layers=1",
        "--prior_probability=0.05",
        "--batch_size=32",
        "--learning_rate_decay=0.8",
        f"--learning_rate_decay_examples={2 * NUM_TRAIN_VIDEOS}",
        f"--seed={seed}",
        *flags_of_model,
    )
    validation = f"--eval_data_pattern={output}/data/validate*.tfrecord"
    _command(eval_command, "eval.py", train_dir, validation, "--run_once", f"--output_metrics_json={metrics_file}")
    with open(metrics_file) as file:
        metrics = json.load(file)
    return {"model": name, **_cost(f"{output}/{name}", f"{output}/data/validate*.tfrecord"), **metrics}


def _command(module, program, *arguments):
    print(f"\n$ python {program} {shlex.join(arguments)}", flush=True)
    status = module.main([program, *arguments])
    if status != OK:
        sys.exit(status)


def _cost(train_dir, pattern):
    """Cost of a 300-frame video, and the measured time of 1000 validation videos from records to predictions."""
    from yt8m_distill.analysis import model_cost
    from yt8m_distill.analysis.timing import seconds_per_1000_videos
    from yt8m_distill.data import list_record_files
    from yt8m_distill.models import load_model

    model = load_model(train_dir)
    cost, seconds = model_cost(model), seconds_per_1000_videos(model, list_record_files(pattern), batch_size=100)
    return {"frames": cost["frames"], "macs": cost["macs"], "seconds": seconds}


def _serve_one_record(saved_model, path):
    import tensorflow as tf

    record = next(iter(tf.data.TFRecordDataset(path)))
    served = tf.saved_model.load(saved_model).signatures["serving_default"](example_bytes=record[None])
    best = zip(served["class_indexes"][0, :3].numpy(), served["predictions"][0, :3].numpy())
    text = ", ".join(f"class {index} ({score:.2f})" for index, score in best)
    print(f"\nServed one record from {saved_model}: video {served['video_id'][0].numpy().decode()}: {text}")


def _print_table(rows):
    import pandas as pd

    table = pd.DataFrame(
        {
            "model": [row["model"] for row in rows],
            "frames": [row["frames"] for row in rows],
            "MACs (M)": [f"{row['macs'] / 1e6:.2f}" for row in rows],
            "s / 1000 videos": [f"{row['seconds']:.2f}" for row in rows],
            "Hit@1": [f"{row['hit_at_one']:.3f}" for row in rows],
            "PERR": [f"{row['perr']:.3f}" for row in rows],
            "mAP": [f"{row['map']:.3f}" for row in rows],
            "GAP": [f"{row['gap']:.3f}" for row in rows],
        }
    )
    print(table.to_string(index=False))


if __name__ == "__main__":
    sys.exit(main())

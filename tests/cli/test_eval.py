"""eval.py without --run_once: it waits for checkpoints, and evaluates each of them once."""

import types

import numpy as np
import pytest

from tests.training.tiny_runs import model_config, save_model, write_shards
from yt8m_distill.cli import eval as eval_command


@pytest.fixture
def naps(monkeypatch):
    """What happens in each pause of the command, a list of functions; then Ctrl-C. `naps.seconds` are the pauses."""
    naps = types.SimpleNamespace(happenings=[], seconds=[])

    def sleep(seconds):
        naps.seconds.append(seconds)
        if not naps.happenings:
            raise KeyboardInterrupt
        naps.happenings.pop(0)()

    monkeypatch.setattr(eval_command, "time", types.SimpleNamespace(sleep=sleep))
    return naps


def test_each_new_checkpoint_is_evaluated_once(naps, tmp_path, capsys):
    pattern = write_shards(tmp_path / "records", count=5, num_shards=1)
    train_dir = tmp_path / "run"
    model = model_config().build()

    def save(step):
        model.set_weights([np.full_like(weights, step) for weights in model.get_weights()])
        save_model(train_dir, model, step)

    naps.happenings = [lambda: save(10), lambda: None, lambda: save(20), lambda: None]
    flags = [f"--train_dir={train_dir}", f"--eval_data_pattern={pattern}", "--eval_interval_secs=7"]
    assert eval_command.main(["eval.py", *flags]) == 130
    assert naps.seconds == [7, 7, 7, 7, 7]
    lines = capsys.readouterr().err.splitlines()
    assert lines[2] == f"No checkpoint file found in {train_dir}. Looking again in 7 s."
    assert [line.split(" | ")[0] for line in lines if line.startswith("epoch")] == [
        "epoch/eval number 10",
        "epoch/eval number 20",
    ]
    assert sum("Loading checkpoint" in line for line in lines) == 2
    assert not any("Traceback" in line for line in lines)


def test_the_pause_is_a_minute_by_default(naps, tmp_path):
    pattern = write_shards(tmp_path / "records", count=1, num_shards=1)
    assert eval_command.main(["eval.py", f"--train_dir={tmp_path}", f"--eval_data_pattern={pattern}"]) == 130
    assert naps.seconds == [60]

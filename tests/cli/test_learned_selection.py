"""`--frame_sampling=skip_frame` and `saliency` from training to export, on made-up records."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.records import make_videos, write_videos
from tests.training.tiny_runs import checkpoint_values, model_config, read_scalars, save_model
from yt8m_distill.cli import eval as eval_command
from yt8m_distill.cli import export_model, inference, train
from yt8m_distill.data import RecordSchema

SCHEMA = RecordSchema(("rgb",), (4,), frame_features=True, num_classes=3, max_frames=20)
NETWORK = {"lstm_cells": 3, "lstm_layers": 1}


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write_videos(folder, make_videos(SCHEMA, 16, num_frames=[20, 13, 6, 1]), SCHEMA)
    return str(folder / "*.tfrecord")


@pytest.fixture(scope="module")
def uniform_dir(tmp_path_factory):
    """A model of frames spread evenly, for the policy to start from."""
    directory = tmp_path_factory.mktemp("uniform")
    save_model(directory, model_config("LstmModel", SCHEMA, num_sampled_frames=3, hyperparameters=NETWORK).build())
    return str(directory)


def train_model(pattern, train_dir, *flags):
    return train.main(
        [
            "train.py",
            f"--train_data_pattern={pattern}",
            f"--train_dir={train_dir}",
            "--frame_features",
            "--feature_names=rgb",
            "--feature_sizes=4",
            "--num_classes=3",
            "--max_frames=20",
            "--model=LstmModel",
            *(f"--{name}={value}" for name, value in NETWORK.items()),
            "--num_sampled_frames=3",
            "--batch_size=8",
            "--num_epochs=5",
            *flags,
        ]
    )


def train_policy(pattern, train_dir, *flags):
    return train_model(pattern, train_dir, "--frame_sampling=skip_frame", "--skip_max=9", *flags)


def test_a_policy_is_trained_evaluated_applied_and_exported(pattern, uniform_dir, tmp_path):
    run = tmp_path / "run"
    assert train_policy(pattern, run, f"--initial_train_dir={uniform_dir}", "--skip_reward=immediate") == 0
    scalars = read_scalars(run)
    assert 0 < scalars["selection/entropy"][-1][1] <= np.log(4) + 1e-6 and "selection/reward" in scalars

    metrics, submission = tmp_path / "metrics.json", tmp_path / "predictions.csv"
    evaluation = [f"--eval_data_pattern={pattern}", "--run_once", f"--output_metrics_json={metrics}"]
    assert eval_command.main(["eval.py", f"--train_dir={run}", *evaluation]) == 0
    assert 0 < json.loads(metrics.read_text())["gap"] <= 1

    rows = [f"--input_data_pattern={pattern}", f"--output_file={submission}", "--top_k=3"]
    assert inference.main(["inference.py", f"--train_dir={run}", *rows]) == 0
    expected = {line.split(",")[0]: float(line.split(" ")[1]) for line in submission.read_text().splitlines()[1:]}

    export = ["export_model.py", f"--train_dir={run}"]
    assert export_model.main([*export, f"--output_dir={tmp_path}/saved_model", "--top_k=3"]) == 0
    litert = ["--format=litert", f"--check_data_pattern={pattern}"]
    assert export_model.main([*export, f"--output_dir={tmp_path}/litert", *litert]) == 0
    records = [record.numpy() for record in tf.data.TFRecordDataset(tf.io.gfile.glob(pattern))]
    served = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"](tf.constant(records))
    for video_id, best in zip(served["video_id"].numpy(), served["predictions"][:, 0].numpy()):
        assert expected[video_id.decode()] == pytest.approx(best, abs=2e-6)


def test_a_policy_chooses_among_whole_videos(pattern, tmp_path, capsys):
    choosing = {"num_sampled_frames": 3, "frame_sampling": "skip_frame"}
    save_model(tmp_path, model_config("LstmModel", SCHEMA, **choosing, hyperparameters=NETWORK).build())
    argv = [f"--train_dir={tmp_path}", "--segment_labels"]
    assert eval_command.main(["eval.py", *argv, f"--eval_data_pattern={pattern}", "--run_once"]) == 2
    inputs = [f"--input_data_pattern={pattern}", f"--output_file={tmp_path}/segments.csv"]
    assert inference.main(["inference.py", *argv, *inputs]) == 2
    errors = capsys.readouterr().err
    assert errors.count("--segment_labels does not go with a model of --frame_sampling=skip_frame") == 2


def test_a_scorer_is_trained_for_a_network_that_stays_as_it_is(pattern, uniform_dir, tmp_path, capsys):
    run, flags = tmp_path / "run", ["--frame_sampling=saliency", "--saliency_inputs=rgb:2"]
    assert train_model(pattern, run, *flags) == 2
    assert "chooses frames for a trained network. Give its train_dir as --initial_train_dir" in capsys.readouterr().err
    assert train_model(pattern, run, *flags, f"--initial_train_dir={uniform_dir}") == 0
    trained, network = checkpoint_values(run), checkpoint_values(Path(uniform_dir))
    shared = [name for name in network if name.startswith(("model/encoder", "model/classifier"))]
    assert shared and all(np.array_equal(trained[name], network[name]) for name in shared)
    assert any("scorer" in name for name in trained)
    submission = tmp_path / "predictions.csv"
    rows = [f"--input_data_pattern={pattern}", f"--output_file={submission}", "--top_k=3"]
    assert inference.main(["inference.py", f"--train_dir={run}", *rows]) == 0
    assert submission.read_text().count("\n") == 1 + 16


def test_says_what_does_not_go_together(pattern, uniform_dir, tmp_path, capsys):
    for flags, message in (
        (["--mixup_alpha=0.2"], "--mixup_alpha does not go with --frame_sampling=skip_frame"),
        (
            [f"--initial_train_dir={uniform_dir}", "--lstm_cells=4"],
            "needs weights of its own shapes, but the shapes differ",
        ),
        (["--distillation=serial", f"--teacher_dir={uniform_dir}"], "--distillation does not go with"),
        (["--initial_train_dir=nowhere"], "nowhere"),
    ):
        assert train_policy(pattern, tmp_path / "run", "--start_new_model", *flags) == 2
        error = capsys.readouterr().err
        assert message in error and "Traceback" not in error

"""One model on several numbers of frames: train.py --frame_budgets, and --num_sampled_frames of the other commands."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.records import make_videos, record_of, write_videos
from tests.training.tiny_runs import FRAMES, checkpoint_values, model_config, save_model
from yt8m_distill.cli import eval as eval_command
from yt8m_distill.cli import export_model, inference, train
from yt8m_distill.models import load_model_config


@pytest.fixture(scope="module")
def videos():
    return make_videos(FRAMES, 6, num_frames=8)


@pytest.fixture(scope="module")
def pattern(videos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write_videos(folder, videos, FRAMES)
    return str(folder / "*.tfrecord")


@pytest.fixture(scope="module")
def model():
    """Trained for 4 frames, or so it says."""
    model = model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=4, frame_budgets=(2, 4)).build()
    model.set_weights([np.random.default_rng(3).standard_normal(w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def train_dir(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("trained")
    save_model(directory, model)
    return str(directory)


def predictions_on(model, videos, frames):
    sampled = np.stack([video.frames[list(frames)] for video in videos])
    inputs = {"sampled_frames": sampled, "num_sampled_frames": np.full(len(videos), len(frames))}
    return model(inputs)["predictions"].numpy()


@pytest.mark.parametrize("flags, frames", [([], (0, 2, 4, 6)), (["--num_sampled_frames=2"], (0, 4))], ids=str)
def test_evaluation_inference_and_export_read_as_many_frames_as_they_are_told(
    flags, frames, model, videos, pattern, train_dir, tmp_path
):
    expected = predictions_on(model, videos, frames)
    metrics_file, submission = tmp_path / "metrics.json", tmp_path / "predictions.csv"
    evaluation = [f"--eval_data_pattern={pattern}", "--run_once", f"--output_metrics_json={metrics_file}"]
    assert eval_command.main(["eval.py", f"--train_dir={train_dir}", *evaluation, *flags]) == 0
    labels = np.array([[c in video.labels for c in range(3)] for video in videos])
    likelihood = np.where(labels, expected, 1 - expected) + 1e-5
    loss = -np.log(likelihood).sum(axis=1).mean()
    assert json.loads(metrics_file.read_text())["loss"] == pytest.approx(loss, rel=1e-5)

    rows = [f"--input_data_pattern={pattern}", f"--output_file={submission}", "--top_k=1"]
    assert inference.main(["inference.py", f"--train_dir={train_dir}", *rows, *flags]) == 0
    best = [float(line.split()[-1]) for line in submission.read_text().splitlines()[1:]]
    np.testing.assert_allclose(best, expected.max(axis=1), atol=1e-6)

    exported = tmp_path / "exported"
    export = [f"--train_dir={train_dir}", f"--output_dir={exported}", "--top_k=3"]
    assert export_model.main(["export_model.py", *export, *flags]) == 0
    serve = tf.saved_model.load(str(exported)).signatures["serving_default"]
    served = serve(example_bytes=tf.constant([record_of(video, FRAMES) for video in videos]))["predictions"]
    np.testing.assert_allclose(served, -np.sort(-expected), atol=1e-6)


def test_training_for_several_numbers_of_frames(pattern, tmp_path):
    flags = [
        f"--train_data_pattern={pattern}",
        "--frame_features",
        "--model=FrameLevelLogisticModel",
        "--feature_names=rgb",
        "--feature_sizes=4",
        "--num_classes=3",
        "--max_frames=8",
        "--batch_size=3",
        "--num_epochs=2",
        "--num_sampled_frames=8",
    ]
    assert train.main(["train.py", f"--train_dir={tmp_path / 'any'}", "--frame_budgets=2,8", *flags]) == 0
    assert train.main(["train.py", f"--train_dir={tmp_path / 'eight'}", *flags]) == 0
    assert load_model_config(str(tmp_path / "any")).frame_budgets == (2, 8)
    weights = [checkpoint_values(tmp_path / name) for name in ("any", "eight")]
    assert any((weights[0][name] != weights[1][name]).any() for name in weights[0] if name.startswith("model/"))


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--frame_budgets=2,4", "--num_sampled_frames=8"], "the last of them num_sampled_frames=8. Received: 2, 4"),
        (["--frame_budgets=2,8"], "frame_budgets need num_sampled_frames"),
        (["--frame_budgets=2,x", "--num_sampled_frames=8"], "--frame_budgets must list whole numbers"),
    ],
)
def test_budgets_that_make_no_sense(flags, message, pattern, tmp_path, capsys):
    command = ["train.py", f"--train_dir={tmp_path / 'run'}", f"--train_data_pattern={pattern}", "--frame_features"]
    assert train.main([*command, "--model=FrameLevelLogisticModel", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_eval_states_the_agreement_with_a_teacher(model, videos, pattern, train_dir, tmp_path, capsys):
    teacher = model.model_config.build()
    teacher.set_weights([w + np.random.default_rng(4).standard_normal(w.shape) for w in model.get_weights()])
    save_model(tmp_path / "teacher", teacher)
    p, q = (predictions_on(one, videos, (0, 2, 4, 6)).astype(np.float64) for one in (teacher, model))
    kl = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum(axis=1).mean()
    same_best = np.mean(p.argmax(axis=1) == q.argmax(axis=1))
    assert 0 < same_best < 1
    metrics_file = tmp_path / "metrics.json"
    flags = [f"--train_dir={train_dir}", f"--eval_data_pattern={pattern}", "--run_once"]
    flags += [f"--teacher_dir={tmp_path / 'teacher'}", f"--output_metrics_json={metrics_file}"]
    assert eval_command.main(["eval.py", *flags]) == 0
    metrics = json.loads(metrics_file.read_text())
    assert metrics["top_1_agreement"] == pytest.approx(same_best)
    assert metrics["top_20_agreement"] == 1  # of three classes
    assert metrics["kl"] == pytest.approx(kl, rel=1e-4)
    expected = f"With the teacher | top_1_agreement: {same_best:.3f} | top_20_agreement: 1.000 | kl: {kl:.3f}"
    assert expected in capsys.readouterr().err

"""Training and evaluating on rated segments."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.metrics import plain_python_metrics as plain
from tests.records import make_ratings, make_videos, write_segments, write_videos
from tests.training.tiny_runs import FRAMES, MEANS, checkpoint_steps, checkpoint_values, model_config, training_config
from yt8m_distill.data import DataError, sample_frame_indices
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.metrics import EvaluationMetrics
from yt8m_distill.models import load_model
from yt8m_distill.training import evaluate, run, train

VIDEOS = make_videos(FRAMES, 17, num_frames=[8, 6, 3])
# Class 2 is rated in no segment.
RATINGS = [[rating for rating in ratings if rating[0] < 2] for ratings in make_ratings(VIDEOS, FRAMES, seed=3)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_segments(tmp_path_factory.mktemp("segments"), VIDEOS, RATINGS, FRAMES, num_shards=2)


@pytest.fixture(scope="module")
def pattern(files):
    return ",".join(files)


def random_model(**budget):
    model = model_config("FrameLevelLogisticModel", FRAMES, **budget).build()
    rng = np.random.default_rng(1)
    model.set_weights([3 * rng.standard_normal(weights.shape) for weights in model.get_weights()])
    return model


def examples(model, num_sampled=None):
    """Without the pipeline: for each segment (predictions, {class: score}), the frames cut and picked in NumPy."""
    found = []
    for video, ratings in zip(VIDEOS, RATINGS):
        for start in dict.fromkeys(start for _, start, _ in ratings):
            frames = video.frames[start : start + 5]
            if num_sampled:
                frames = frames[sample_frame_indices(len(frames), num_sampled, "middle", max_frames=8)]
            padded = np.zeros([1, 5, 4], np.uint8)
            padded[0, : len(frames)] = frames
            # Read as if the model picked nothing: `sampled_frames` are what it reads.
            inputs = {"sampled_frames": padded, "num_sampled_frames": [len(frames)]}
            scores = {rated: score for rated, at, score in ratings if at == start}
            found.append((model(inputs)["predictions"].numpy()[0], scores))
    return found


def metrics_in_plain_python(segments):
    average_precisions, losses = [], []
    for c in range(3):
        pairs = [(float(predictions[c]), scores[c] > 0) for predictions, scores in segments if c in scores]
        num_positives = sum(positive for _, positive in pairs)
        if num_positives:
            average_precisions.append(plain.average_precision(pairs, num_positives))
    for predictions, scores in segments:
        chances = [predictions[c] if score > 0 else 1 - predictions[c] for c, score in scores.items()]
        losses.append(-math.fsum(math.log(chance + 1e-5) for chance in chances))
    masked = [[p if c in scores else 0 for c, p in enumerate(predictions)] for predictions, scores in segments]
    others = EvaluationMetrics(3)
    others.accumulate(masked, [[scores.get(c, 0) > 0 for c in range(3)] for _, scores in segments])
    return {
        **others.result(),
        "segment_map": math.fsum(average_precisions) / len(average_precisions),
        "num_rated_pairs": sum(len(scores) for _, scores in segments),
        "loss": math.fsum(losses) / len(losses),
    }


@pytest.mark.parametrize("batch_size", [4, 100])
def test_evaluation_counts_rated_classes_only(files, batch_size):
    """The loss, too: the original's counts every unrated class as a negative."""
    model = random_model()
    expected = metrics_in_plain_python(examples(model))
    assert 0 < expected["segment_map"] < 1 and expected["num_classes_with_positives"] == 2
    batches = []
    metrics = evaluate(model, files, batch_size, segments=True, on_batch=batches.append)
    assert metrics == pytest.approx(expected, rel=1e-5)
    assert sum(batch["num_examples"] for batch in batches) == metrics["num_examples"]
    assert {batch["num_examples"] for batch in batches[:-1]} <= {batch_size}


def test_a_few_frame_model_picks_among_the_frames_of_the_segment(files):
    model = random_model(frame_sampling="middle", num_sampled_frames=2)
    expected = metrics_in_plain_python(examples(model, num_sampled=2))
    assert evaluate(model, files, 100, segments=True) == pytest.approx(expected, rel=1e-5)
    assert expected["loss"] != pytest.approx(metrics_in_plain_python(examples(model))["loss"], rel=1e-3)


def settings(train_dir, pattern, **changes):
    changes = {"segment_labels": True, "regularization_penalty": 0.0, "base_learning_rate": 0.5, **changes}
    return training_config(train_dir, pattern, **changes)


@pytest.fixture(scope="module")
def trained(pattern, tmp_path_factory):
    """Two passes over some thirty segments, with validation on them."""
    train_dir = tmp_path_factory.mktemp("trained")
    config = settings(train_dir, pattern, num_epochs=2, eval_data_pattern=pattern, optimizer="Adam")
    return train_dir, train(model_config("FrameLevelLogisticModel", FRAMES), config)


def test_training_learns_from_rated_classes_only(trained):
    train_dir, outcome = trained
    num_segments = len(examples(random_model()))
    assert outcome["step"] == 2 * math.ceil(num_segments / 8)
    bias = load_model(str(train_dir)).classifier.weights[1].numpy()
    assert bias.shape == (3,) and bias[2] == 0 and (bias[:2] != 0).all()  # it starts as 0


def test_validation_is_on_segments(trained, files):
    train_dir, outcome = trained
    assert outcome["metrics"] == pytest.approx(evaluate(load_model(str(train_dir)), files, segments=True), rel=1e-5)
    assert "segment_map" in json.loads((train_dir / "best" / "metrics.json").read_text())


def test_the_best_is_that_of_the_highest_segment_map(pattern, tmp_path, monkeypatch):
    """Also in a train_dir whose best so far was one of videos."""
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "metrics.json").write_text('{"step": 0, "gap": 0.99}')
    scores = iter([(0.9, 0.1), (0.5, 0.3), (0.7, 0.2)])

    def evaluated(*args, **kwargs):
        return dict(zip(("gap", "segment_map"), next(scores)))

    monkeypatch.setattr(run, "evaluate", evaluated)
    config = settings(tmp_path, pattern, num_epochs=3, eval_data_pattern=pattern)
    train(model_config("FrameLevelLogisticModel", FRAMES), config)
    assert json.loads((tmp_path / "best" / "metrics.json").read_text())["segment_map"] == 0.3


def test_the_run_is_recorded(trained):
    assert json.loads((trained[0] / "model_flags.json").read_text())["training"]["segment_labels"] is True


def test_a_run_that_is_taken_up_again_ends_where_the_uninterrupted_one_does(trained, pattern, tmp_path):
    for max_steps in (2, None):
        config = settings(tmp_path, pattern, num_epochs=2, max_steps=max_steps, optimizer="Adam", keep_checkpoints=1)
        train(model_config("FrameLevelLogisticModel", FRAMES), config)
        assert checkpoint_steps(tmp_path) == [max_steps or trained[1]["step"]]
    one, other = checkpoint_values(tmp_path), checkpoint_values(trained[0])
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_student_is_distilled_on_segments(trained, pattern, tmp_path):
    config = settings(
        tmp_path, pattern, max_steps=2, distillation=DistillationConfig("serial"), teacher_dir=str(trained[0])
    )
    budget = {"frame_sampling": "uniform", "num_sampled_frames": 2}
    assert train(model_config("FrameLevelLogisticModel", FRAMES, **budget), config)["step"] == 2
    assert all(np.isfinite(weights).all() for weights in load_model(str(tmp_path)).get_weights())


def test_a_video_level_model(tmp_path):
    (pattern,) = write_videos(tmp_path, make_videos(MEANS, 2), MEANS)
    train_dir = tmp_path / "model"
    with pytest.raises(DataError, match="Leave out --segment_labels, or use a frame-level model"):
        train(model_config(), settings(train_dir, pattern))
    assert not tf.io.gfile.exists(str(train_dir))
    with pytest.raises(ValueError, match="Segments are parts of frame-level records"):
        evaluate(model_config().build(), [pattern], segments=True)


def test_records_without_rated_segments(tmp_path):
    (pattern,) = write_videos(tmp_path, VIDEOS[:3], FRAMES)
    with pytest.raises(DataError, match="hold no rated segment"):
        train(model_config("FrameLevelLogisticModel", FRAMES), settings(tmp_path / "model", pattern))

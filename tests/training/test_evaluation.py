import numpy as np
import pytest

from tests.records import make_videos, record_of, write_records, write_videos
from tests.training.tiny_runs import FRAMES, MEANS, model_config
from yt8m_distill.data import DataError
from yt8m_distill.metrics import Agreement, EvaluationMetrics
from yt8m_distill.training import create_strategy, evaluate, predictions_of


@pytest.fixture(scope="module")
def videos():
    return make_videos(MEANS, 11, seed=1)


@pytest.fixture(scope="module")
def files(videos, tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("records"), videos, MEANS, num_shards=2)


@pytest.fixture(scope="module")
def model():
    model = model_config().build()
    random = np.random.default_rng(1)
    model.set_weights([random.standard_normal(w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def by_hand(videos, model):
    """Predictions and labels of all videos, without the pipeline."""
    predictions = model({"features": np.stack([video.means for video in videos])})["predictions"].numpy()
    labels = np.zeros(predictions.shape, bool)
    for row, video in zip(labels, videos):
        row[list(video.labels)] = True
    return predictions, labels


def cross_entropy(predictions, labels):
    likelihood = np.where(labels, np.log(predictions + 1e-5), np.log(1 - predictions + 1e-5))
    return -likelihood.sum(axis=1)


@pytest.mark.parametrize("batch_size, num_readers", [(1, 1), (4, 2), (100, 1)])
@pytest.mark.parametrize("top_k", [20, 1])
def test_metrics_are_those_of_the_models_outputs(model, files, by_hand, batch_size, num_readers, top_k):
    predictions, labels = by_hand
    expected = EvaluationMetrics(num_classes=3, top_k=top_k)
    expected.accumulate(predictions, labels)
    metrics = evaluate(model, files, batch_size, top_k=top_k, num_readers=num_readers)
    loss = metrics.pop("loss")
    assert metrics == pytest.approx(expected.result(), rel=1e-6)
    assert metrics["num_examples"] == 11
    assert loss == pytest.approx(cross_entropy(predictions, labels).mean(), rel=1e-5)


def test_what_each_batch_reports(model, files, by_hand):
    predictions, labels = by_hand
    batches = []
    evaluate(model, files, 4, on_batch=batches.append)
    assert [batch["num_examples"] for batch in batches] == [4, 4, 3]
    for start, batch in zip((0, 4, 8), batches):
        part = slice(start, start + 4)
        hits = [row[scores.argmax()] for row, scores in zip(labels[part], predictions[part])]
        assert batch["hit_at_one"] == pytest.approx(np.mean(hits))
        assert 0 <= batch["perr"] <= 1 and batch["seconds"] > 0
        assert batch["loss"] == pytest.approx(cross_entropy(predictions[part], labels[part]).mean(), rel=1e-5)


def test_another_loss(model, files, by_hand):
    predictions, labels = by_hand
    hinge = np.maximum(0, 1 - np.where(labels, 1, -1) * predictions).sum(axis=1).mean()
    assert evaluate(model, files, label_loss="HingeLoss")["loss"] == pytest.approx(hinge, rel=1e-5)


def test_an_unknown_loss(model, files):
    with pytest.raises(ValueError, match=r"label_loss must be one of .* Received: 'L2'"):
        evaluate(model, files, label_loss="L2")


@pytest.mark.parametrize("name", ["one_device", "mirrored"])
def test_a_strategy_changes_nothing(files, model, name):
    strategy = create_strategy(name)
    with strategy.scope():
        copy = model_config().build()
    copy.set_weights(model.get_weights())
    assert evaluate(copy, files, 4, strategy=strategy) == pytest.approx(evaluate(model, files, 4), rel=1e-6)


def test_a_model_with_a_frame_budget_reads_its_frames_only(tmp_path):
    videos = make_videos(FRAMES, 5, num_frames=4)
    files = write_videos(tmp_path, videos, FRAMES)
    model = model_config("FrameLevelLogisticModel", FRAMES, frame_sampling="first", num_sampled_frames=1).build()
    expected = EvaluationMetrics(num_classes=3)
    inputs = {"sampled_frames": np.stack([video.frames[:1] for video in videos]), "num_sampled_frames": np.ones(5)}
    expected.accumulate(model(inputs)["predictions"], [[c in video.labels for c in range(3)] for video in videos])
    metrics = evaluate(model, files, 5)
    assert metrics.pop("loss") > 0
    assert metrics == pytest.approx(expected.result(), rel=1e-6)


def test_a_bad_record_is_named(model, videos, tmp_path):
    records = [record_of(video, MEANS) for video in videos] + [record_of(videos[0], MEANS, video_id="bad", labels=[3])]
    path = write_records(tmp_path / "bad.tfrecord", records)
    with pytest.raises(DataError, match=r"video 'bad' in .*bad.tfrecord record 11: a label is outside"):
        evaluate(model, [path], 4)


# ---- beside a teacher


def test_agreement_with_a_teacher_that_reads_other_frames(tmp_path):
    videos = make_videos(FRAMES, 7, num_frames=4)
    files = write_videos(tmp_path, videos, FRAMES)
    teacher = model_config("FrameLevelLogisticModel", FRAMES).build()
    student = model_config("FrameLevelLogisticModel", FRAMES, frame_sampling="first", num_sampled_frames=1).build()
    for seed, model in enumerate((teacher, student)):
        random = np.random.default_rng(seed)
        model.set_weights([random.standard_normal(w.shape) for w in model.get_weights()])
    frames = np.stack([video.frames for video in videos])
    agreement = Agreement()
    agreement.accumulate(
        teacher({"frames": frames, "num_frames": np.full(7, 4)})["predictions"],
        student({"sampled_frames": frames[:, :1], "num_sampled_frames": np.ones(7)})["predictions"],
    )
    metrics = evaluate(student, files, 3, teacher_predictions=predictions_of(teacher, files, 3))
    assert {name: metrics[name] for name in agreement.result()} == pytest.approx(agreement.result(), rel=1e-4)
    assert "kl" not in evaluate(student, files, 3)


def test_a_teacher_of_other_classes(model, files):
    with pytest.raises(ValueError, match=r"Received: teacher \(11, 5\), student \(11, 3\)"):
        evaluate(model, files, teacher_predictions=[np.zeros((11, 5))])

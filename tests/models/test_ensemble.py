import dataclasses
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.models.small_ensemble import (
    CONFIGS,
    SMALL_LSTM,
    WEIGHTS,
    make_dataset,
    make_ensemble,
    make_model,
    make_records,
)
from tests.records import make_videos, record_of, write_videos
from tests.training.tiny_runs import FRAMES, MEANS, model_config, save_model
from yt8m_distill.data import RecordSchema, evaluation_dataset
from yt8m_distill.metrics import EvaluationMetrics
from yt8m_distill.models import Ensemble, load_ensemble, predict_batches
from yt8m_distill.serving import export_saved_model
from yt8m_distill.training import evaluate

TWO_REPLICAS = pathlib.Path(__file__).with_name("ensemble_on_two_replicas.py")


@pytest.fixture(scope="module")
def ensemble():
    return make_ensemble()


@pytest.fixture(scope="module")
def videos():
    return make_videos(FRAMES, 6)


@pytest.fixture(scope="module")
def files(videos, tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("records"), videos, FRAMES, num_shards=2)


@pytest.fixture(scope="module")
def by_members(ensemble, files):
    """Each member's predictions of the files, alone, its frames picked by the pipeline."""
    return [predict(member, files) for member in ensemble.members]


def predict(model, files, batch_size=4):
    dataset = evaluation_dataset(files, model.schema, batch_size, model.sampler)
    return np.concatenate([batch["predictions"] for batch in predict_batches(model, dataset)])


def test_the_mean_of_the_members(ensemble, by_members, files):
    predictions = predict(ensemble, files)
    assert predictions.dtype == np.float32
    assert min(np.abs(one - other).max() for one, other in zip(by_members, by_members[1:])) > 0.05
    expected = by_members[0] / 2 + by_members[1] / 4 + by_members[2] / 4
    np.testing.assert_allclose(predictions, expected, rtol=1e-6)


def test_equal_weights_by_default(ensemble, by_members, files):
    pair = Ensemble(ensemble.members[:2])
    assert pair.weights == [0.5, 0.5]
    np.testing.assert_allclose(predict(pair, files), np.mean(by_members[:2], axis=0), rtol=1e-6)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_members_that_agree_give_what_each_gives(ensemble, count):
    """Also where weights of 1/7 do not add up to 1 exactly."""
    records = {name: value for name, value in make_records().items() if name in ("frames", "num_frames")}
    member = ensemble.members[0]
    same = Ensemble([member] * count)
    np.testing.assert_array_equal(same(records)["predictions"], member(records)["predictions"])


def test_evaluate_measures_the_mean(ensemble, videos, files):
    expected = EvaluationMetrics(num_classes=3)
    expected.accumulate(predict(ensemble, files), [[c in video.labels for c in range(3)] for video in videos])
    metrics = evaluate(ensemble, files, 4)
    assert metrics.pop("loss") > 0
    assert metrics == pytest.approx(expected.result(), rel=1e-6)


def test_two_replicas_predict_the_same(ensemble, tmp_path):
    path = os.pathsep.join([str(TWO_REPLICAS.parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(TWO_REPLICAS), str(tmp_path / "predictions.npy")]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr[-5000:]
    (batch,) = predict_batches(ensemble, make_dataset(100))
    np.testing.assert_allclose(np.load(tmp_path / "predictions.npy"), batch["predictions"], rtol=1e-5)


@pytest.fixture(scope="module")
def exported(ensemble, tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("export") / "saved")
    export_saved_model(ensemble, directory, top_k=2)
    return tf.saved_model.load(directory)


def test_the_export_serves_records(exported, ensemble, videos, files):
    records = tf.constant([record_of(video, FRAMES) for video in videos])
    served = exported.signatures["serving_default"](example_bytes=records)
    expected = predict(ensemble, files, batch_size=len(videos))
    order = np.argsort(-expected, axis=1, kind="stable")[:, :2]
    assert [video_id.decode() for video_id in served["video_id"].numpy()] == [video.video_id for video in videos]
    np.testing.assert_array_equal(served["class_indexes"], order)
    # Inference cuts whole videos to the longest of a batch; a sum over fewer rows of padding may round otherwise.
    np.testing.assert_allclose(served["predictions"], np.take_along_axis(expected, order, axis=1), rtol=1e-6)


def test_the_export_serves_tensors_bit_identically(exported, ensemble):
    records = make_records()
    floats = records["frames"].astype(np.float32) * np.float32(4 / 255) + np.float32(4 / 512 - 2)
    served = exported.signatures["mediapipe"](rgb_and_audio=tf.constant(floats), num_frames=records["num_frames"])
    expected = ensemble.predictions_of({"frames": floats, "num_frames": records["num_frames"]})
    np.testing.assert_array_equal(served["predictions"], expected)


def test_an_ensemble_of_mean_features(tmp_path):
    members = [make_model(model_config(name), seed) for seed, name in enumerate(("LogisticModel", "MoeModel"))]
    files = write_videos(tmp_path, make_videos(MEANS, 3), MEANS)
    mean = Ensemble(members, (1, 3))
    expected = 0.25 * predict(members[0], files) + 0.75 * predict(members[1], files)
    np.testing.assert_allclose(predict(mean, files), expected, rtol=1e-6)
    export_saved_model(mean, str(tmp_path / "saved"), top_k=3)
    features = np.float32([[0.5, -1, 2, 0.25]])
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["features"](features=features)
    np.testing.assert_array_equal(served["predictions"], mean.predictions_of({"features": features}))


def test_members_share_the_frames_that_the_pipeline_picks(files):
    """Where all have the same budget, also a random one, which depends on the videos' ids."""
    config = model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=2, frame_sampling="random")
    members = [make_model(config, seed) for seed in (1, 2)]
    pair = Ensemble(members)
    assert pair.sampler == members[0].sampler is not None
    expected = np.mean([predict(member, files) for member in members], axis=0)
    np.testing.assert_allclose(predict(pair, files), expected, rtol=1e-6)


def test_jitter_in_training_makes_no_other_budget():
    """Without it, whole videos would be decoded for two frames of each."""
    plain = model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=2)
    jittered = dataclasses.replace(plain, frame_jitter=True)
    any_k = dataclasses.replace(plain, frame_budgets=(1, plain.num_sampled_frames))
    assert Ensemble([jittered.build(), any_k.build(), plain.build()]).sampler == plain.sampler


class TestErrors:
    @pytest.mark.parametrize(
        "field, schema",
        [
            ("feature_names", RecordSchema(("audio",), (4,), True, 3, 8)),
            ("feature_sizes", RecordSchema(("rgb",), (5,), True, 3, 8)),
            ("num_classes", RecordSchema(("rgb",), (4,), True, 4, 8)),
            ("max_frames", RecordSchema(("rgb",), (4,), True, 3, 16)),
        ],
    )
    def test_members_of_other_records(self, ensemble, field, schema):
        other = model_config("FrameLevelLogisticModel", schema).build()
        first, second = getattr(FRAMES, field), getattr(schema, field)
        with pytest.raises(ValueError) as caught:
            Ensemble([*ensemble.members, other], names=("a", "b", "c", "runs/d"))
        message = f"must agree on {field}: a has {first!r}, runs/d has {second!r}. Leave one of them out."
        assert message in str(caught.value)

    def test_members_of_another_level(self, ensemble):
        other = model_config("LogisticModel", feature_names=("rgb",)).build()
        with pytest.raises(ValueError, match=r"agree on frame_features: member 0 has True, member 1 has False"):
            Ensemble([ensemble.members[0], other])

    def test_max_frames_mean_nothing_to_mean_features(self):
        Ensemble([model_config(max_frames=max_frames).build() for max_frames in (300, 10)])

    def test_a_random_member_among_others(self, ensemble):
        config = model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=2, frame_sampling="random")
        with pytest.raises(ValueError, match=r"runs/b has frame_sampling='random', which draws frames by the video's"):
            Ensemble([ensemble.members[0], config.build()], names=("runs/a", "runs/b"))

    @pytest.mark.parametrize(
        "weights, message",
        [
            ((1, 2), "Give 3 weights, one for each. Received: 2"),
            ((1, 0, 1), "weights must be positive numbers. Received: 0"),
            ((1, -1, 1), "weights must be positive numbers. Received: -1"),
            ((1, float("nan"), 1), "weights must be positive numbers. Received: nan"),
            ((1, float("inf"), 1), "weights must be positive numbers. Received: inf"),
            ((1e308, 1e308, 1e308), "weights are too large, or too far apart. Received: 1e[+]308, 1e[+]308"),
            ((1e-320, 1e308, 1), "weights are too large, or too far apart. Received: 1e-320, 1e[+]308, 1"),
        ],
    )
    def test_weights(self, ensemble, weights, message):
        with pytest.raises(ValueError, match=message):
            Ensemble(ensemble.members, weights)

    def test_no_member(self):
        with pytest.raises(ValueError, match="at least one member"):
            Ensemble([])

    def test_training(self, ensemble):
        with pytest.raises(ValueError, match="predicts only"):
            ensemble({}, training=True)


def test_load_ensemble(ensemble, files, tmp_path):
    train_dirs = [str(tmp_path / name) for name in "abc"]
    for train_dir, member in zip(train_dirs, ensemble.members):
        save_model(pathlib.Path(train_dir), member)
    loaded = load_ensemble(train_dirs, WEIGHTS)
    assert loaded.weights == [0.5, 0.25, 0.25]
    assert [member.model_config for member in loaded.members] == list(CONFIGS)
    for one, other in zip(loaded.variables, ensemble.variables):
        np.testing.assert_array_equal(one, other)


def test_load_ensemble_names_the_train_dir(tmp_path):
    other = RecordSchema(("rgb",), (4,), True, 5, 8)
    save_model(tmp_path / "a", model_config("LstmModel", FRAMES, hyperparameters=SMALL_LSTM).build())
    save_model(tmp_path / "b", model_config("FrameLevelLogisticModel", other).build())
    with pytest.raises(ValueError, match=rf"num_classes: {tmp_path}/a has 3, {tmp_path}/b has 5"):
        load_ensemble([f"{tmp_path}/a", f"{tmp_path}/b"])

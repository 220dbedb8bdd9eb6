import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.records import frame_record, make_videos, record_of, write_videos
from yt8m_distill.data import RecordSchema, evaluation_dataset
from yt8m_distill.models import create_model, predict_batches
from yt8m_distill.serving import export_saved_model

FRAMES = RecordSchema(("rgb", "audio"), (8, 4), frame_features=True, num_classes=5, max_frames=20)
MEANS = RecordSchema(("mean_rgb", "mean_audio"), (8, 4), num_classes=5)


def build(name, schema, **settings):
    return create_model(
        name, schema.feature_names, schema.feature_sizes, num_classes=5, max_frames=schema.max_frames, **settings
    )


def keras_predictions(model, folder, videos, schema):
    dataset = evaluation_dataset(write_videos(folder, videos, schema), schema, 3, model.sampler)
    return np.concatenate([batch["predictions"] for batch in predict_batches(model, dataset)])


MODELS = {
    "all frames": ("FrameLevelLogisticModel", FRAMES, {}),
    "uniform": ("FrameLevelLogisticModel", FRAMES, {"num_sampled_frames": 3}),
    "random": ("FrameLevelLogisticModel", FRAMES, {"num_sampled_frames": 3, "frame_sampling": "random"}),
    "stride": ("FrameLevelLogisticModel", FRAMES, {"every_n": 4}),
    "video-level": ("MoeModel", MEANS, {}),
}


@pytest.mark.parametrize("name, schema, settings", MODELS.values(), ids=MODELS)
def test_serves_what_the_model_predicts(name, schema, settings, tmp_path):
    model = build(name, schema, **settings)
    videos = make_videos(schema, 4)
    expected = keras_predictions(model, tmp_path, videos, schema)
    export_saved_model(model, str(tmp_path / "saved"), top_k=3)
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    records = [record_of(video, schema) for video in videos]
    for number in (4, 1):
        served = serve(example_bytes=tf.constant(records[:number]))
        order = np.argsort(-expected[:number], axis=1, kind="stable")[:, :3]
        assert [i.decode() for i in served["video_id"].numpy()] == [v.video_id for v in videos[:number]]
        assert served["class_indexes"].dtype == tf.int32
        np.testing.assert_array_equal(served["class_indexes"], order)
        np.testing.assert_allclose(
            served["predictions"], np.take_along_axis(expected[:number], order, axis=1), atol=1e-6
        )


def test_serves_unlabelled_records_with_the_old_id_key(tmp_path):
    export_saved_model(build("FrameLevelLogisticModel", FRAMES), str(tmp_path / "saved"), top_k=5)
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    video = make_videos(FRAMES, 1)[0]
    labelled = serve(example_bytes=tf.constant([record_of(video, FRAMES)]))
    unlabelled = serve(example_bytes=tf.constant([record_of(video, FRAMES, id_key="video_id", labels=None)]))
    for name in ("video_id", "class_indexes", "predictions"):
        np.testing.assert_array_equal(labelled[name], unlabelled[name])


@pytest.mark.parametrize("budget", [{}, {"num_sampled_frames": 3}])
def test_mediapipe_signature(budget, tmp_path):
    model = build("FrameLevelLogisticModel", FRAMES, **budget)
    export_saved_model(model, str(tmp_path / "saved"), top_k=5)
    classify = tf.saved_model.load(str(tmp_path / "saved")).signatures["mediapipe"]
    frames = np.random.default_rng(0).integers(0, 256, (2, 20, 12), dtype=np.uint8)
    num_frames = np.array([20, 7], np.int32)
    expected = model({"frames": frames, "num_frames": num_frames})["predictions"]
    floats = frames.astype(np.float32) * (4 / 255) + (4 / 512 - 2)
    for shape in ([2], [2, 1]):
        served = classify(rgb_and_audio=tf.constant(floats), num_frames=tf.constant(num_frames.reshape(shape)))
        np.testing.assert_allclose(served["predictions"], expected, atol=1e-6)


def test_features_signature(tmp_path):
    model = build("LogisticModel", MEANS)
    export_saved_model(model, str(tmp_path / "saved"), top_k=5)
    features = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["features"](features=tf.constant(features))
    np.testing.assert_allclose(served["predictions"], model({"features": features})["predictions"], atol=1e-6)


def test_runs_in_a_program_without_this_package(tmp_path):
    model = build("FrameLevelLogisticModel", FRAMES, num_sampled_frames=4)
    videos = make_videos(FRAMES, 3)
    expected = keras_predictions(model, tmp_path, videos, FRAMES)
    export_saved_model(model, str(tmp_path / "saved"), top_k=5)
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "serve = tf.saved_model.load('saved').signatures['serving_default']\n"
        "records = [r.numpy() for r in tf.data.TFRecordDataset('shard00.tfrecord')]\n"
        "served = serve(example_bytes=tf.constant(records))\n"
        "assert not any(name.startswith('yt8m_distill') for name in sys.modules)\n"
        "np.savez('served.npz', **served)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-5000:]
    served = np.load(tmp_path / "served.npz")
    np.testing.assert_allclose(served["predictions"], -np.sort(-expected, axis=1), atol=1e-6)
    np.testing.assert_array_equal(served["class_indexes"], np.argsort(-expected, axis=1, kind="stable"))


def test_a_bad_record_is_an_error(tmp_path):
    export_saved_model(build("FrameLevelLogisticModel", FRAMES), str(tmp_path / "saved"), top_k=5)
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    uneven = frame_record({"rgb": np.zeros((3, 8), np.uint8), "audio": np.zeros((2, 4), np.uint8)}, video_id="v")
    with pytest.raises(tf.errors.InvalidArgumentError, match="different numbers of frames"):
        serve(example_bytes=tf.constant([uneven]))


def test_refuses_a_directory_that_holds_something(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/precious").write_text("mine")
    with pytest.raises(FileExistsError, match="saved"):
        export_saved_model(build("LogisticModel", MEANS), str(tmp_path / "saved"), top_k=5)
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["precious"]


@pytest.mark.parametrize("top_k", [0, 6])
def test_refuses_top_k_out_of_range(top_k, tmp_path):
    with pytest.raises(ValueError, match=rf"top_k must be from 1 to num_classes=5\. Received: {top_k}\."):
        export_saved_model(build("LogisticModel", MEANS), str(tmp_path / "saved"), top_k=top_k)
    assert not (tmp_path / "saved").exists()

import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.models import create_model
from yt8m_distill.serving import export_saved_model
from yt8m_distill.stack import keras


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    sizes = {"num_classes": 50, "max_frames": 6, "num_sampled_frames": 3}
    return create_model("FrameLevelLogisticModel", ("rgb",), (32,), **sizes, video_level_classifier_model="MoeModel")


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    export_saved_model(model, str(folder / "float16"), top_k=5, precision="float16")
    return folder / "float16"


def test_predicts_nearly_the_same(model, saved):
    frames = np.random.default_rng(0).normal(size=(2, 6, 32)).astype(np.float32)
    num_frames = np.array([6, 2], np.int32)
    expected = model({"frames": frames, "num_frames": num_frames})["predictions"]
    classify = tf.saved_model.load(str(saved)).signatures["mediapipe"]
    served = classify(rgb_and_audio=tf.constant(frames), num_frames=tf.constant(num_frames))["predictions"]
    np.testing.assert_allclose(served, expected, atol=1e-3)
    assert np.abs(served - expected).max() > 0  # the weights were rounded


def test_weights_take_two_bytes(model, saved):
    size = sum(path.stat().st_size for path in (saved / "variables").glob("variables.data*"))
    num_weights = sum(int(tf.size(weight)) for weight in model.variables)
    assert 2 * num_weights < size < 2.1 * num_weights + 5000


def test_biases_stay_float32(saved):
    dtypes = {}
    checkpoint = tf.train.load_checkpoint(str(saved / "variables" / "variables"))
    for name, shape in checkpoint.get_variable_to_shape_map().items():
        if name.startswith("weights/"):
            dtypes.setdefault(len(shape), set()).add(checkpoint.get_tensor(name).dtype)
    assert dtypes == {1: {np.dtype(np.float32)}, 2: {np.dtype(np.float16)}}


def test_leaves_the_model_as_it_was(model, saved):
    assert not any({"value", "read_value"} & set(vars(weight)) for weight in model.variables)
    assert all(weight.dtype == tf.float32 for weight in model.variables)


def test_refuses_weights_that_float16_cannot_hold(tmp_path):
    model = create_model("LogisticModel", ("mean_rgb",), (4,), num_classes=3)
    kernel = model.classifier.dense.kernel
    kernel.assign(tf.fill(kernel.shape, 7e4))
    with pytest.raises(ValueError, match=r"kernel:0 has values beyond float16's 65504.*: 70000 to 70000\. Export"):
        export_saved_model(model, str(tmp_path / "saved"), top_k=1, precision="float16")
    assert list(tmp_path.iterdir()) == []


def test_refuses_int8(tmp_path):
    model = create_model("LogisticModel", ("mean_rgb",), (4,), num_classes=3)
    with pytest.raises(ValueError, match=r"SavedModel must be one of float32, float16\. Received: 'int8'"):
        export_saved_model(model, str(tmp_path / "saved"), top_k=1, precision="int8")

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.models.test_every_model import SMALL as SMALL_MODELS
from tests.records import make_videos, write_videos
from yt8m_distill.data import RecordSchema, evaluation_dataset, sample_frame_indices
from yt8m_distill.models import ZOO, create_model, predict_batches
from yt8m_distill.serving import LiteRtModel, export_litert
from yt8m_distill.serving.litert_recurrence import litert_recurrence
from yt8m_distill.stack import keras

FRAMES = RecordSchema(("rgb", "audio"), (6, 2), frame_features=True, num_classes=4, max_frames=12)
# Products of 32 x 32 weights or more are what int8 quantises.
SMALL = {
    **SMALL_MODELS,
    **{"lstm_cells": 16, "lstm_layers": 2, "gru_cells": 16, "gru_layers": 2},
    "iterations": ZOO["DbofModel"].hyperparameters["iterations"],
}
K = 5
VARIANTS = {
    **{name: (name, {}) for name in ZOO},
    "both directions": ("LstmModel", {"bidirectional": True, "lstm_layers": 1}),
    "GRU both directions": ("GruModel", {"bidirectional": True, "gru_layers": 1}),
    "one frame": ("LstmModel", {"num_sampled_frames": 1, "lstm_layers": 1}),
    # LiteRT takes an integer cut at 0 and 6 for a ReLU6.
    "blocks of six frames": ("HierarchicalLstmModel", {"num_sampled_frames": 12, "num_blocks": 2, "lstm_layers": 1}),
    "gated": ("FrameLevelLogisticModel", {"video_level_classifier_model": "MoeModel", "moe_prob_gating": True}),
    "teacher": ("LstmModel", {"num_sampled_frames": None, "lstm_layers": 1}),
}


def build(name, **changes):
    keras.utils.set_random_seed(3)
    settings = {key: value for key, value in SMALL.items() if key in ZOO[name].hyperparameters}
    if ZOO[name].frame_level:
        settings["num_sampled_frames"] = K
    settings = {"num_classes": 4, "max_frames": 12, **settings, **changes}
    return create_model(name, FRAMES.feature_names, FRAMES.feature_sizes, **settings)


def exported(model, folder, precision="float32"):
    export_litert(model, str(folder), precision)
    return LiteRtModel(str(folder))


def keras_prediction(model, frames):
    if not model.is_frame_level:
        return model({"features": frames[None]})["predictions"][0].numpy()
    padded = np.full([1, model.model_config.num_slots, frames.shape[1]], 77, np.uint8)
    padded[0, : len(frames)] = frames
    inputs = {"sampled_frames": padded, "num_sampled_frames": np.array([len(frames)], np.int32)}
    return model(inputs)["predictions"][0].numpy()


def inputs_of(model):
    """Videos of all lengths that a model may see."""
    rng = np.random.default_rng(0)
    if not model.is_frame_level:
        return [rng.normal(size=8).astype(np.float32)]
    num_slots = model.model_config.num_slots
    return [rng.integers(0, 256, (n, 8), dtype=np.uint8) for n in sorted({num_slots, num_slots // 2, 1, 0})]


@pytest.mark.parametrize("name, changes", VARIANTS.values(), ids=VARIANTS)
def test_every_model_predicts_as_with_keras(name, changes, tmp_path):
    model = build(name, **changes)
    litert = exported(model, tmp_path / "litert")
    for frames in inputs_of(model):
        predictions = litert.predict(frames)
        assert predictions.shape == (4,) and predictions.dtype == np.float32
        np.testing.assert_allclose(predictions, keras_prediction(model, frames), atol=2e-6)


@pytest.mark.parametrize("precision, atol", [("float16", 1e-4), ("int8", 5e-3)])
@pytest.mark.parametrize("name", ["LstmModel", "GruModel", "NeXtVLADModel"])
def test_narrow_weights_predict_nearly_the_same(name, precision, atol, tmp_path):
    """Loops and float16 did not go together in TensorFlow 2.15: predictions were noise."""
    model = build(name)
    litert = exported(model, tmp_path / "litert", precision)
    for frames in inputs_of(model):
        expected = keras_prediction(model, frames)
        np.testing.assert_allclose(litert.predict(frames), expected, atol=atol)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A model of 39,000 weights, nearly all of them in matrices, exported in all precisions; and its videos."""
    folder = tmp_path_factory.mktemp("wide")
    model = build("LstmModel", lstm_cells=64, lstm_layers=1, num_classes=64)
    schema = model.schema
    files = write_videos(folder, make_videos(schema, 9, num_frames=[12, 7, 3]), schema)
    paths = {precision: folder / precision for precision in ("float32", "float16", "int8")}
    for precision, path in paths.items():
        export_litert(model, str(path), precision)
    return model, files, paths


def test_narrow_weights_make_small_files(wide):
    model, _, paths = wide
    num_weights = sum(int(tf.size(weight)) for weight in model.variables)
    sizes = {name: (path / "model.tflite").stat().st_size for name, path in paths.items()}
    graph = 35_000  # bytes of the operations
    for precision, bytes_per_weight in (("float32", 4), ("float16", 2), ("int8", 1)):
        assert bytes_per_weight * num_weights < sizes[precision] < bytes_per_weight * num_weights + graph


def test_needs_nothing_but_the_builtin_operations(wide):
    _, _, paths = wide
    content = (paths["float32"] / "model.tflite").read_bytes()
    operators = {op["op_name"] for op in tf.lite.Interpreter(model_content=content)._get_ops_details()}
    assert "WHILE" in operators
    assert not {name for name in operators if name.startswith(("Flex", "Custom"))}


def test_predicts_records_in_the_place_of_the_model(wide):
    model, files, paths = wide
    litert = LiteRtModel(str(paths["float32"]))
    assert litert.schema == model.schema and litert.sampler == model.sampler
    dataset = evaluation_dataset(files, litert.schema, 4, litert.sampler)
    for batch, expected in zip(predict_batches(litert, dataset), predict_batches(model, dataset)):
        np.testing.assert_array_equal(batch["video_ids"], expected["video_ids"])
        np.testing.assert_allclose(batch["predictions"], expected["predictions"], atol=2e-6)


def test_teachers_and_video_level_models_predict_records(tmp_path):
    for name, schema in (
        ("FrameLevelLogisticModel", FRAMES),
        ("LogisticModel", RecordSchema(("rgb", "audio"), (6, 2), num_classes=4, max_frames=12)),
    ):
        model = build(name, **({"num_sampled_frames": None} if schema.frame_features else {}))
        files = write_videos(tmp_path, make_videos(schema, 5), schema, prefix=name)
        litert = exported(model, tmp_path / f"{name}_litert")
        assert litert.sampler is None
        dataset = evaluation_dataset(files, schema, 3)
        for batch, expected in zip(predict_batches(litert, dataset), predict_batches(model, dataset)):
            np.testing.assert_allclose(batch["predictions"], expected["predictions"], atol=2e-6)


def test_says_which_frames_it_reads(wide):
    _, _, paths = wide
    metadata = json.loads((paths["int8"] / "model.json").read_text())
    assert metadata["model"] == "LstmModel" and metadata["precision"] == "int8"
    assert metadata["records"]["feature_names"] == ["rgb", "audio"] and metadata["records"]["feature_sizes"] == [6, 2]
    assert metadata["inputs"] == {
        "frames": {"dtype": "uint8", "shape": [1, 5, 8]},
        "num_frames": {"dtype": "int32", "shape": [1]},
    }
    assert metadata["outputs"] == {"predictions": {"dtype": "float32", "shape": [1, 64]}}
    sampler = metadata["frame_sampler"]
    indices = sample_frame_indices(12, sampler["num_sampled_frames"], sampler["method"], max_frames=12)
    assert indices.tolist() == [0, 2, 4, 7, 9]  # floor(i 12 / 5)
    runner = tf.lite.Interpreter(str(paths["int8"] / "model.tflite")).get_signature_runner()
    described = {name: (value["dtype"], value["shape"].tolist()) for name, value in runner.get_input_details().items()}
    assert described == {"frames": (np.uint8, [1, 5, 8]), "num_frames": (np.int32, [1])}


def test_leaves_the_model_as_it_was():
    model = build("HierarchicalLstmModel")
    layers = [layer for layer in model.submodules if isinstance(layer, keras.layers.LSTM)]
    with litert_recurrence(model):
        assert all("call" in vars(layer) for layer in layers) and not model.encoder.skips_padding
    assert len(layers) == 4 and not any("call" in vars(layer) for layer in layers) and model.encoder.skips_padding


def test_says_nothing(wide, tmp_path, capfd):
    _, _, paths = wide
    LiteRtModel(str(paths["int8"])).predict(np.zeros([2, 8], np.uint8))
    export_litert(build("LogisticModel"), str(tmp_path / "litert"))
    assert capfd.readouterr() == ("", "")


def test_says_that_tensorflow_has_no_litert_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr(tf, "lite", None)
    with pytest.raises(ImportError, match=r"need tf\.lite, which tensorflow .* lacks"):
        export_litert(build("LogisticModel"), str(tmp_path / "litert"))
    assert list(tmp_path.iterdir()) == []


def test_refuses_an_unknown_precision(tmp_path):
    with pytest.raises(ValueError, match=r"precision must be one of float32, float16, int8\. Received: 'int4'\."):
        export_litert(build("LogisticModel"), str(tmp_path / "litert"), "int4")
    assert list(tmp_path.iterdir()) == []


def test_refuses_a_model_beyond_the_limit_before_converting(tmp_path, monkeypatch):
    monkeypatch.setattr("yt8m_distill.serving.litert._MAX_BYTES", 100)
    monkeypatch.setattr("yt8m_distill.serving.litert._convert", None)
    with pytest.raises(ValueError, match="cannot hold this LogisticModel: its weights have"):
        export_litert(build("LogisticModel"), str(tmp_path / "litert"))
    assert list(tmp_path.iterdir()) == []


def test_names_an_operation_that_litert_lacks(tmp_path):
    # It spreads 5 frames over a video inside the model, in int64.
    model = build("DbofModel", num_sampled_frames=None, iterations=5)
    with pytest.raises(ValueError, match=r"LiteRT cannot run this DbofModel: it lacks tf\.FloorDiv\. Export it as"):
        export_litert(model, str(tmp_path / "litert"))
    assert list(tmp_path.iterdir()) == []


def test_refuses_a_directory_that_holds_something(tmp_path):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(FileExistsError, match="precious"):
        export_litert(build("LogisticModel"), str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]

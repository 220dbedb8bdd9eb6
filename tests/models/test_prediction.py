import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.models import create_model, predict_batches

NUM_RECORDS, WIDTH, SLOTS, NUM_CLASSES = 8, 4, 6, 5


@pytest.fixture(scope="module")
def records():
    random = np.random.default_rng(40)
    return {
        "video_ids": np.array([f"video{number}" for number in range(NUM_RECORDS)]),
        "labels": random.uniform(size=(NUM_RECORDS, NUM_CLASSES)) < 0.3,
        "frames": random.integers(0, 256, (NUM_RECORDS, SLOTS, WIDTH)).astype(np.uint8),
        "num_frames": np.array([6, 5, 4, 3, 2, 1, 0, 6], np.int32),
    }


@pytest.fixture(scope="module")
def model():
    return create_model("FrameLevelLogisticModel", ("rgb",), (WIDTH,), num_classes=NUM_CLASSES, max_frames=SLOTS)


@pytest.mark.parametrize("batch_size", [3, 8, 100])
@pytest.mark.parametrize("strategy", [None, "one_device"])
def test_predicts_every_record_in_order(model, records, batch_size, strategy):
    if strategy:
        strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    dataset = tf.data.Dataset.from_tensor_slices(records).batch(batch_size)
    batches = list(predict_batches(model, dataset, strategy))
    assert [len(batch["predictions"]) for batch in batches] == {3: [3, 3, 2], 8: [8], 100: [8]}[batch_size]
    assert all(set(batch) == {"video_ids", "labels", "predictions"} for batch in batches)
    whole = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    assert whole["video_ids"].tolist() == [f"video{number}".encode() for number in range(NUM_RECORDS)]
    assert whole["labels"].dtype == bool and whole["predictions"].dtype == np.float32
    np.testing.assert_array_equal(whole["labels"], records["labels"])
    for number in range(NUM_RECORDS):
        one = {name: records[name][number : number + 1] for name in ("frames", "num_frames")}
        np.testing.assert_allclose(whole["predictions"][number], model(one)["predictions"][0], rtol=1e-5)


def test_predicts_frames_that_the_pipeline_picked(records):
    model = create_model(
        "FrameLevelLogisticModel", ("rgb",), (WIDTH,), num_classes=NUM_CLASSES, max_frames=SLOTS, num_sampled_frames=2
    )
    batch = {
        "video_ids": records["video_ids"],
        "labels": records["labels"],
        "sampled_frames": records["frames"][:, :2],
        "num_sampled_frames": np.minimum(records["num_frames"], 2),
    }
    (predicted,) = predict_batches(model, tf.data.Dataset.from_tensors(batch))
    inputs = {name: batch[name] for name in ("sampled_frames", "num_sampled_frames")}
    np.testing.assert_allclose(predicted["predictions"], model(inputs)["predictions"], rtol=1e-5)


def test_predicts_without_dropout(records):
    model = create_model("MoeModel", ("mean_rgb",), (WIDTH,), num_classes=NUM_CLASSES, dropout_rate=0.9)
    features = np.random.default_rng(41).normal(size=(NUM_RECORDS, WIDTH)).astype(np.float32)
    batch = {"video_ids": records["video_ids"], "labels": records["labels"], "features": features}
    (predicted,) = predict_batches(model, tf.data.Dataset.from_tensors(batch))
    expected = model({"features": features}, training=False)["predictions"]
    np.testing.assert_allclose(predicted["predictions"], expected, rtol=1e-5)


def test_a_dataset_without_batches_gives_none(model, records):
    dataset = tf.data.Dataset.from_tensor_slices(records).batch(3).take(0)
    assert list(predict_batches(model, dataset)) == []


def test_a_batch_is_handed_out_when_the_next_one_is_under_way(model, records):
    events = []

    class Model:
        skips_padding = True

        @staticmethod
        def predictions_of(inputs):
            events.append("predicted")
            return model.predictions_of(inputs)

    for _ in predict_batches(Model, tf.data.Dataset.from_tensor_slices(records).batch(3)):
        events.append("handed out")
    assert events == ["predicted"] * 2 + ["handed out", "predicted"] + ["handed out"] * 2

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from yt8m_distill.metrics import EvaluationMetrics
from yt8m_distill.models.classifiers import Logistic
from yt8m_distill.models.nonfinite_steps import NonfiniteSteps
from yt8m_distill.models.training_step import (
    METRICS_EVERY_STEPS,
    batch_metrics,
    global_num_examples,
    global_num_labelled,
    regularization_loss,
    scaled,
    sum_over_slices,
    update,
)
from yt8m_distill.stack import keras

LOGGED_STEP = METRICS_EVERY_STEPS - 1


def hit_at_one_in_python(labels, predictions):
    hits = [row[max(range(len(row)), key=lambda c: scores[c])] for row, scores in zip(labels, predictions)]
    return sum(map(int, hits)) / len(labels)


def perr_in_python(labels, predictions):
    """Precision among as many classes as the video has labels; only predictions above 0 can be hits."""
    total = 0.0
    for row, scores in zip(labels, predictions):
        num_labels = sum(map(int, row))
        best = sorted(range(len(row)), key=lambda c: -scores[c])[:num_labels]
        total += sum(1 for c in best if row[c] and scores[c] > 0) / num_labels if num_labels else 0.0
    return total / len(labels)


def gap_in_python(labels, predictions, top_k=20):
    """Average precision over the pooled top k of all videos; every label counts in the denominator."""
    pool = []
    for row, scores in zip(labels, predictions):
        best = sorted(range(len(row)), key=lambda c: -scores[c])[:top_k]
        pool += [(scores[c], bool(row[c])) for c in best]
    num_hits, total = 0, 0.0
    for rank, (_, is_hit) in enumerate(sorted(pool, key=lambda pair: -pair[0]), start=1):
        if is_hit:
            num_hits += 1
            total += num_hits / rank
    num_labels = sum(int(label) for row in labels for label in row)
    return total / num_labels if num_labels else 0.0


def random_batch(seed, batch_size, num_classes, share_of_labels):
    """Labels, and predictions without ties, some of them negative."""
    random = np.random.default_rng(seed)
    labels = random.uniform(size=(batch_size, num_classes)) < share_of_labels
    scores = random.permutation(batch_size * num_classes) / (batch_size * num_classes) - 0.1
    return labels, scores.reshape(batch_size, num_classes).astype(np.float32)


def assert_metrics_as_in_python(metrics, labels, predictions):
    expected = {
        "hit_at_one": hit_at_one_in_python(labels, predictions),
        "perr": perr_in_python(labels, predictions),
        "gap": gap_in_python(labels, predictions),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch_size=st.integers(1, 6),
    num_classes=st.integers(2, 40),
    share_of_labels=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_batch_metrics_equal_plain_python(seed, batch_size, num_classes, share_of_labels):
    labels, predictions = random_batch(seed, batch_size, num_classes, share_of_labels)
    metrics = batch_metrics(tf.constant(LOGGED_STEP), labels, predictions, float(batch_size))
    assert_metrics_as_in_python(metrics, labels, predictions)


def test_unrated_classes_count_as_in_evaluation():
    """Their predictions are 0, in the second row of the best one."""
    labels = np.array([[1, 0, 0], [0, 1, 0]], bool)
    predictions = np.array([[0.6, 0.5, 0.4], [0.1, 0.8, 0.9]], np.float32)
    weights = np.array([[1, 1, 0], [1, 1, 0]], np.float32)
    evaluation = EvaluationMetrics(3)
    expected = evaluation.accumulate(predictions * weights, labels)
    metrics = batch_metrics(tf.constant(LOGGED_STEP), labels, predictions, 2.0, weights)
    assert metrics["hit_at_one"] == expected["hit_at_one"] == 1 and metrics["perr"] == expected["perr"] == 1
    assert batch_metrics(tf.constant(LOGGED_STEP), labels, predictions, 2.0)["hit_at_one"] == 0.5


def test_batch_metrics_of_a_case_by_hand():
    labels = np.array([[True, False, False], [False, True, True]])
    predictions = np.array([[0.9, 0.8, 0.1], [0.7, 0.6, 0.5]], np.float32)
    metrics = batch_metrics(tf.constant(LOGGED_STEP), labels, predictions, 2.0)
    np.testing.assert_allclose(metrics["hit_at_one"], 0.5)
    np.testing.assert_allclose(metrics["perr"], (1 + 0.5) / 2)
    # The pool in order: .9 hit, .8, .7, .6 hit, .5 hit, .1; the original reports .7, too.
    np.testing.assert_allclose(metrics["gap"], (1 / 1 + 2 / 4 + 3 / 5) / 3, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_batch_metrics_are_of_the_labelled_examples(seed):
    labels, predictions = random_batch(seed, 6, 30, 0.2)
    predictions += 0.2
    is_labelled = np.array([True, True, False, True, False, False])
    labels[~is_labelled] = False
    weights = is_labelled[:, None].astype(np.float32)
    num_labelled = global_num_labelled(labels, tf.constant(weights))
    assert float(num_labelled) == 3
    metrics = batch_metrics(tf.constant(LOGGED_STEP), labels, predictions, num_labelled, tf.constant(weights))
    assert_metrics_as_in_python(metrics, labels[is_labelled], predictions[is_labelled])


def test_batch_metrics_without_a_labelled_example_are_zero():
    labels, predictions = np.zeros([2, 5], bool), np.full([2, 5], 0.5, np.float32)
    metrics = batch_metrics(tf.constant(LOGGED_STEP), labels, predictions, tf.constant(0.0), tf.zeros([2, 1]))
    assert {name: float(value) for name, value in metrics.items()} == {"hit_at_one": 0, "perr": 0, "gap": 0}


def test_class_weights_leave_all_examples_labelled():
    assert float(global_num_labelled(tf.zeros([7, 3], tf.bool), tf.zeros([7, 3]))) == 7


def test_batch_metrics_compile_with_xla():
    compiled = tf.function(batch_metrics, jit_compile=True)
    for share_of_labels in (0.1, 0.9):  # the second gives videos more labels than the 20 of the top
        labels, predictions = random_batch(1, 4, 30, share_of_labels)
        metrics = compiled(tf.constant(LOGGED_STEP), tf.constant(labels), tf.constant(predictions), tf.constant(4.0))
        assert_metrics_as_in_python(metrics, labels, predictions)


@pytest.mark.parametrize("step, is_logged", [(0, False), (8, False), (9, True), (10, False), (19, True)])
def test_batch_metrics_are_zero_between_the_logged_steps(step, is_logged):
    labels, predictions = random_batch(2, 4, 6, 0.9)
    metrics = batch_metrics(tf.constant(step, tf.int64), labels, predictions, 4.0)
    assert all((float(value) > 0) == is_logged for value in metrics.values())


def test_batch_metrics_of_an_empty_batch_are_zero():
    labels, predictions = np.zeros([0, 5], bool), np.zeros([0, 5], np.float32)
    metrics = batch_metrics(tf.constant(LOGGED_STEP), labels, predictions, 3.0)
    assert {name: float(value) for name, value in metrics.items()} == {"hit_at_one": 0, "perr": 0, "gap": 0}


def test_batch_metrics_of_two_replicas_add_up():
    labels, predictions = random_batch(3, 5, 30, 0.3)
    parts = [
        batch_metrics(tf.constant(LOGGED_STEP), labels[part], predictions[part], 5.0)
        for part in (slice(0, 2), slice(2, 5))
    ]
    total = {name: float(parts[0][name] + parts[1][name]) for name in parts[0]}
    np.testing.assert_allclose(total["hit_at_one"], hit_at_one_in_python(labels, predictions), rtol=1e-5)
    np.testing.assert_allclose(total["perr"], perr_in_python(labels, predictions), rtol=1e-5)
    gaps = [gap_in_python(labels[:2], predictions[:2]), gap_in_python(labels[2:], predictions[2:])]
    np.testing.assert_allclose(total["gap"], (2 * gaps[0] + 3 * gaps[1]) / 5, rtol=1e-5)


def test_global_num_examples_of_one_replica_is_its_batch_size():
    num_examples = global_num_examples(tf.zeros([7, 3], tf.bool))
    assert num_examples.dtype == tf.float32 and float(num_examples) == 7


def test_regularization_loss_sums_the_penalties():
    layer = Logistic(3)
    layer(tf.ones([1, 4]))
    layer.set_weights([np.full((4, 3), 2, np.float32), np.zeros(3, np.float32)])
    model = keras.Sequential([layer, keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.5))])
    model(tf.ones([1, 4]))
    model.layers[1].set_weights([np.full((3, 2), 3, np.float32), np.zeros(2, np.float32)])
    np.testing.assert_allclose(regularization_loss(model), 1e-8 / 2 * 12 * 4 + 0.5 * 6 * 9, rtol=1e-6)


def test_regularization_loss_is_zero_without_penalties():
    model = keras.Sequential([keras.layers.Dense(2)])
    model(tf.ones([1, 4]))
    assert float(regularization_loss(model)) == 0


def descend_once(optimizer):
    """One step on (x - 1)^2 from x = 3, of which y is no part."""
    x, y = tf.Variable(3.0), tf.Variable(5.0)
    with tf.GradientTape() as tape:
        loss = scaled(optimizer, (x - 1.0) ** 2)
    update(optimizer, tape.gradient(loss, [x, y]), [x, y], loss, NonfiniteSteps())
    return float(loss), float(x), float(y)


def test_update_descends_and_leaves_unreached_variables_alone():
    assert descend_once(keras.optimizers.SGD(0.25)) == (4.0, 2.0, 5.0)


def test_slices_are_added_up():
    def function(number):
        return [tf.constant(number), None], {"loss": tf.constant(2.0 * number)}

    (total, nothing), logs = sum_over_slices(function, iter([1.0, 2.0, 5.0]))
    assert (float(total), nothing, float(logs["loss"])) == (8.0, None, 16.0)


def test_a_slice_waits_for_the_gradients_of_the_one_before():
    """Side by side they would need the memory of all."""
    kernel = tf.Variable(tf.ones([2, 2]))

    def function(values):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.nn.relu(values @ kernel))
        return tape.gradient(loss, [kernel]), loss

    @tf.function
    def step(values):
        return sum_over_slices(function, (values[number : number + 1] for number in range(3)))

    gradients, loss = step(tf.ones([3, 2]))
    np.testing.assert_allclose(gradients[0], [[3, 3], [3, 3]])
    assert float(loss) == 12
    operations = step.get_concrete_function(tf.TensorSpec([3, 2])).graph.get_operations()
    products = [operation for operation in operations if operation.type == "MatMul"]
    assert len(products) == 6  # forth and back
    second = [operation for operation in operations if operation.type == "Relu"][1]
    assert ancestors(second) >= set(products[:2])


def ancestors(operation):
    found, waiting = set(), [operation]
    while waiting:
        one = waiting.pop()
        before = {*(tensor.op for tensor in one.inputs), *one.control_inputs} - found
        found |= before
        waiting += before
    return found


def test_a_loss_scaling_optimizer_takes_the_same_step_from_a_larger_loss():
    optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.25), dynamic=False, initial_scale=64.0)
    assert descend_once(optimizer) == (64 * 4.0, 2.0, 5.0)

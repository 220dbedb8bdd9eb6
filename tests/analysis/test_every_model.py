"""The cost of every model of the zoo, against its real weights and against TensorFlow's own profiler."""

import functools
import math

import pytest
import tensorflow as tf

from tests.models.test_every_model import SMALL
from yt8m_distill.analysis import cost_rows, model_cost
from yt8m_distill.models import ZOO, ModelConfig
from yt8m_distill.models.shapes import build_without_values
from yt8m_distill.stack import keras

NUM_FRAMES = 4
# Sums of products that the models compute element by element, which profilers do not take for matrix products.
ELEMENT_WISE = {"encoder/weighted_mean", "classifier/mixture"}


def small_config(name, **changes):
    hyperparameters = {key: value for key, value in SMALL.items() if key in ZOO[name].hyperparameters}
    sizes = {"feature_names": ("rgb", "audio"), "feature_sizes": (6, 2), "num_classes": 4, "max_frames": NUM_FRAMES}
    return ModelConfig(name, **sizes, **changes, hyperparameters=hyperparameters)


def unrolled(layer_class, *args, **settings):
    return layer_class(*args, **{**settings, "unroll": True})


@pytest.mark.parametrize("name", ZOO)
def test_without_values_as_with_them_and_as_the_profiler_counts(name, monkeypatch):
    # A profiler counts the body of a loop once, so the recurrent layers get their steps one after the other.
    for recurrent in ("LSTM", "GRU"):
        layer_class = getattr(keras.layers, recurrent)
        monkeypatch.setattr(keras.layers, recurrent, functools.partial(unrolled, layer_class))
    model = small_config(name).build()
    cost = model_cost(model, NUM_FRAMES)
    without_values = build_without_values(small_config(name))
    assert model_cost(without_values, NUM_FRAMES) == cost
    assert [weight.shape for weight in without_values.weights] == [weight.shape for weight in model.weights]

    # What is skipped only the data tells, and a profiler counts no product of unknown size.
    model.encoder.skips_padding = False
    element_wise = sum(macs for layer, macs in cost["layers"].items() if layer in ELEMENT_WISE)
    assert profiled_macs(model) == cost["macs"] - element_wise


@pytest.mark.parametrize("name", [name for name in ZOO if ZOO[name].frame_level])
def test_a_student_without_values_costs_what_it_does_with_them(name):
    student = small_config(name, num_sampled_frames=2)
    row = cost_rows([small_config(name), student])[1]
    cost = model_cost(student.build(), NUM_FRAMES)
    assert {key: row[key] for key in cost} == cost


def profiled_macs(model):
    """MACs of all matrix products of the model's graph, for one video."""
    inputs = model.model_config.example_inputs()
    graph = tf.function(lambda inputs: model(inputs, training=False)["predictions"]).get_concrete_function(inputs).graph
    operations = [operation for operation in graph.get_operations() if operation.type != "Placeholder"]
    assert not [operation.name for operation in operations if "While" in operation.type or "Call" in operation.type]
    # TensorFlow's profiler knows no Einsum, and reads an attribute of BatchMatMul that this does not have.
    others = sum(map(batched_macs, operations))
    return profiled_flops(graph, "MatMul") // 2 + others


def profiled_flops(graph, operation):
    """Floating-point operations that TensorFlow's profiler counts in all operations of one type."""
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    profile = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    node = profile
    while node.name != operation:
        (node,) = node.children
    return node.float_ops


def batched_macs(operation):
    """Every pair of values that meet in a batched product: the product of all dimensions that it names."""
    if operation.type == "Einsum":
        left, right = operation.get_attr("equation").decode().split("->")[0].split(",")
        sizes = dict(zip(left + right, [size for tensor in operation.inputs for size in tensor.shape]))
        return math.prod(sizes.values())
    if operation.type.startswith("BatchMatMul"):
        (result,) = operation.outputs
        left = operation.inputs[0].shape
        return math.prod(result.shape) * (left[-2] if operation.get_attr("adj_x") else left[-1])
    return 0

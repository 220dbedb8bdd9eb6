"""Float16 models that every version of LiteRT computes rightly."""

from __future__ import annotations

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

_WEIGHTS = 1  # which input of a FULLY_CONNECTED they are


def keep_only_weights_in_float16(content: bytes) -> bytes:
    """Stores all constants in float32 but the matrices that values are multiplied with, which are nearly all there is.

    LiteRT's CPU delegate, as of TensorFlow 2.15 and before, widens a graph's float16 constants when it prepares it, and
    forgets them when it prepares the next one, such as the body of a loop. Weights have been packed by then; a constant
    that is added or multiplied element by element is read from freed memory, and a recurrent model predicts noise.

    Args:
      content: of a .tflite file that the converter made in float16.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    for graph in model.subgraphs:
        weights = _tensors_used_as_weights_alone(model, graph)
        operators = []
        for operator in graph.operators:
            if _kind(model, operator) == schema.BuiltinOperator.DEQUANTIZE:
                source, target = graph.tensors[operator.inputs[0]], operator.outputs[0]
                if source.type == schema.TensorType.FLOAT16 and target not in weights:
                    graph.tensors[target].buffer = _append_widened(model, source.buffer)
                    continue
            operators.append(operator)
        graph.operators = operators
    return flatbuffer_utils.convert_object_to_bytearray(model)


def _tensors_used_as_weights_alone(model, graph):
    as_weights, otherwise = set(), set(graph.outputs)
    for operator in graph.operators:
        is_product = _kind(model, operator) == schema.BuiltinOperator.FULLY_CONNECTED
        for position, tensor in enumerate(operator.inputs):
            (as_weights if is_product and position == _WEIGHTS else otherwise).add(tensor)
    return as_weights - otherwise


def _append_widened(model, number):
    """Adds a buffer with the float16 values of another one in float32, and returns its number."""
    values = np.asarray(model.buffers[number].data, np.uint8).view(np.float16)
    buffer = schema.BufferT()
    buffer.data = values.astype(np.float32).view(np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _kind(model, operator):
    return model.operatorCodes[operator.opcodeIndex].builtinCode

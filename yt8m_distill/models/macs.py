"""Counting multiply-accumulates (MACs) of matrix products: one MAC is one multiplication with its addition."""

from __future__ import annotations


class CountsMacs:
    """Mixin of layers that are made of several matrix products: says what each of them costs, and all together.

    A subclass defines `layer_macs(...)`, a dict from the name of a part to its MACs for one video. The names are paths
    of Keras layers below this one, such as `frame_lstm/lstm_0`; a product without a layer has a name of its own.
    """

    def macs(self, *args) -> int:
        """Multiply-accumulates of one video, arguments as of `layer_macs`."""
        return sum(self.layer_macs(*args).values())


def macs_by_layer(layers, *args) -> dict[str, int]:
    """The MACs of the parts of several layers under the layers' names, e.g. `frame_lstm/lstm_0`.

    Args:
      layers: layers with `layer_macs`.
      *args: what it takes.
    """
    return {f"{layer.name}/{part}": macs for layer in layers for part, macs in layer.layer_macs(*args).items()}


def step_macs(cell) -> int:
    """The MACs of one step of an LSTM or GRU cell: its input and its state, each times its kernel."""
    return cell.kernel.shape.num_elements() + cell.recurrent_kernel.shape.num_elements()

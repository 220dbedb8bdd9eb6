import types

import pytest
import tensorflow as tf

from yt8m_distill.training import create_strategy, is_chief


@pytest.fixture
def gpus(monkeypatch):
    """Pretends that this machine has two GPUs, and returns what asks for them."""
    asked = types.SimpleNamespace(visible=None)
    devices = [types.SimpleNamespace(name=f"/device:GPU:{number}") for number in range(2)]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: devices if kind == "GPU" else [])
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: devices if kind == "GPU" else [])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda names, kind: setattr(asked, "visible", len(names)))
    for name in ("OneDeviceStrategy", "MirroredStrategy", "MultiWorkerMirroredStrategy"):
        monkeypatch.setattr(tf.distribute, name, lambda devices=None, name=name: (name, devices))
    return asked


@pytest.mark.parametrize(
    "name, max_gpus, expected",
    [
        ("auto", None, ("MirroredStrategy", ["/device:GPU:0", "/device:GPU:1"])),
        ("auto", 2, ("MirroredStrategy", ["/device:GPU:0", "/device:GPU:1"])),
        ("auto", 1, ("OneDeviceStrategy", "/device:GPU:0")),
        ("mirrored", 1, ("MirroredStrategy", ["/device:GPU:0"])),
        ("one_device", None, ("OneDeviceStrategy", "/device:GPU:0")),
    ],
)
def test_strategies_on_gpus(gpus, name, max_gpus, expected):
    assert create_strategy(name, max_gpus) == expected


@pytest.mark.parametrize("max_gpus, visible", [(None, 2), (1, 1)])
@pytest.mark.parametrize("name", ["auto", "multi_worker"])
def test_a_worker_of_a_cluster_takes_its_gpus(gpus, name, max_gpus, visible):
    assert create_strategy(name, max_gpus, is_cluster=True) == ("MultiWorkerMirroredStrategy", None)
    assert gpus.visible == visible


def test_a_cluster_is_made_before_the_runtime_starts(gpus, monkeypatch):
    """TensorFlow refuses collective operations once logical devices have been listed."""

    def fail(kind):
        raise AssertionError("the runtime has started")

    monkeypatch.setattr(tf.config, "list_logical_devices", fail)
    create_strategy("auto", is_cluster=True)


@pytest.mark.parametrize(
    "name, expected",
    [("auto", "OneDeviceStrategy"), ("one_device", "OneDeviceStrategy"), ("mirrored", "MirroredStrategy")],
)
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")
def test_strategies_without_a_gpu(name, expected):
    strategy = create_strategy(name)
    assert type(strategy).__name__.startswith(expected) and strategy.num_replicas_in_sync == 1


def test_an_unknown_strategy():
    with pytest.raises(ValueError, match=r"strategy must be one of auto, one_device, .* Received: 'tpu'"):
        create_strategy("tpu")


def test_multi_worker_needs_a_cluster():
    with pytest.raises(ValueError, match="needs the environment variable TF_CONFIG"):
        create_strategy("multi_worker", is_cluster=False)


@pytest.mark.parametrize(
    "task, expected",
    [
        (None, True),
        (("", 0), True),
        (("chief", 0), True),
        (("worker", 0), True),
        (("worker", 1), False),
        (("evaluator", 0), False),
    ],
)
def test_the_chief_is_the_first_worker(task, expected):
    resolver = task and types.SimpleNamespace(task_type=task[0], task_id=task[1])
    assert is_chief(types.SimpleNamespace(cluster_resolver=resolver)) is expected

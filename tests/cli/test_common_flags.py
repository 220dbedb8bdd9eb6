"""The flags of the machine: what all commands make of --strategy and --num_gpu."""

import logging
import types

import pytest
import tensorflow as tf

from yt8m_distill.cli import ensemble, inference, train
from yt8m_distill.cli import eval as eval_command
from yt8m_distill.cli.command import FlagGroups
from yt8m_distill.cli.common_flags import create_strategy_from, log_batch_size

COMMANDS = [train, eval_command, inference, ensemble]
GPUS = ["/device:GPU:0", "/device:GPU:1", "/device:GPU:2"]
CLUSTER = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'


@pytest.fixture
def visible(monkeypatch):
    """Pretends that this machine has three GPUs; returns how many were made visible to a cluster's worker."""
    asked = []
    devices = [types.SimpleNamespace(name=name) for name in GPUS]
    for kind in ("physical", "logical"):
        monkeypatch.setattr(tf.config, f"list_{kind}_devices", lambda kind: devices if kind == "GPU" else [])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: asked.append(len(devices)))
    for name in ("OneDeviceStrategy", "MirroredStrategy", "MultiWorkerMirroredStrategy"):
        monkeypatch.setattr(tf.distribute, name, lambda devices=None, name=name: (name, devices))
    monkeypatch.delenv("TF_CONFIG", raising=False)
    return asked


def strategy_of(command, *argv, **options):
    groups = FlagGroups()
    command._define_flags(groups)
    groups.values(["command", *argv])
    return create_strategy_from(groups.values, **options)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
@pytest.mark.parametrize(
    "flags, expected",
    [
        ([], ("MirroredStrategy", GPUS)),
        (["--num_gpu=2"], ("MirroredStrategy", GPUS[:2])),
        (["--num_gpu=1"], ("OneDeviceStrategy", GPUS[0])),
        (["--num_gpu=9"], ("MirroredStrategy", GPUS)),
        (["--strategy=mirrored"], ("MirroredStrategy", GPUS)),
        (["--strategy=mirrored", "--num_gpu=1"], ("MirroredStrategy", GPUS[:1])),
        (["--strategy=one_device"], ("OneDeviceStrategy", GPUS[0])),
    ],
)
def test_all_gpus_unless_num_gpu_says_fewer(visible, command, flags, expected):
    assert strategy_of(command, *flags) == expected


@pytest.mark.parametrize("flags, num_visible", [([], 3), (["--num_gpu=1"], 1)])
def test_a_worker_of_a_cluster(visible, flags, num_visible, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", CLUSTER)
    assert strategy_of(train, *flags) == ("MultiWorkerMirroredStrategy", None)
    assert visible == [num_visible]


def test_a_worker_that_stands_alone(visible, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", CLUSTER)
    assert strategy_of(inference, stands_alone=True) == ("MirroredStrategy", GPUS)


@pytest.mark.parametrize("argv", [["eval.py", "--train_dir=unused"], ["ensemble.py", "--train_dirs=unused"]])
def test_evaluation_works_by_itself(argv, visible, monkeypatch, tmp_path, capsys):
    """Under TF_CONFIG too: it must not wait for the workers that train."""
    monkeypatch.setenv("TF_CONFIG", CLUSTER)
    command = {"eval.py": eval_command, "ensemble.py": ensemble}[argv[0]]
    path = str(tmp_path / "a.tfrecord")
    tf.io.TFRecordWriter(path).close()
    assert command.main([*argv, f"--eval_data_pattern={path}", "--strategy=multi_worker"]) == 2
    assert "--strategy=multi_worker is for training" in capsys.readouterr().err


def test_the_help_says_all_gpus():
    groups = FlagGroups()
    inference._define_flags(groups)
    assert "The most GPUs of this machine to use. (default all)" in groups.help()


@pytest.mark.parametrize(
    "num_replicas, expected",
    [(1, "Using batch size of 5 for fun."), (3, "Using batch size of 15 for fun: 5 a replica on 3 replicas.")],
)
def test_the_log_states_both_batch_sizes(num_replicas, expected, caplog):
    caplog.set_level(logging.INFO)
    strategy = types.SimpleNamespace(num_replicas_in_sync=num_replicas)
    log_batch_size(types.SimpleNamespace(batch_size=5), strategy, "fun")
    assert caplog.messages == [expected]

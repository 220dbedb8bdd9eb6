"""Two replicas train as one does with the same global batch, also where a pass leaves a replica without examples."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).with_name("two_devices.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_devices")
    path = os.pathsep.join([str(SCRIPT.parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(SCRIPT), str(folder), str(folder / "results.npz")]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stderr[-5000:]
    return dict(np.load(folder / "results.npz"))


@pytest.mark.parametrize("case, num_losses", [("labels", 2), ("parallel", 5)])
def test_the_loss_curve_is_the_same(results, case, num_losses):
    one, two = results[f"{case}/one/losses"], results[f"{case}/two/losses"]
    assert one.shape == two.shape == (6, num_losses) and one.min() > 0
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", ["labels", "parallel"])
def test_the_checkpoint_is_the_same(results, case):
    names = [name for name in results if name.startswith(f"{case}/one/checkpoint/")]
    assert results[f"{case}/two/checkpoint/position/step"] == 6
    for name in names:
        one, two = results[name], results[name.replace("/one/", "/two/")]
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_average_of_the_weights_is_the_same(results):
    names = [name for name in results if name.startswith("labels/one/checkpoint/model/")]
    assert len(names) == 2
    for name in names:
        average, raw = results[name], results[name.replace("/model/", "/raw_model/")]
        assert np.abs(average - raw).max() > 1e-3
        np.testing.assert_allclose(results[name.replace("/one/", "/two/")], average, rtol=1e-5, atol=1e-6)


def test_mixup_leaves_replicas_without_examples_alone(results):
    losses = results["mixed/two/losses"]
    assert losses.shape == (6, 2) and np.isfinite(losses).all()
    assert all(np.isfinite(value).all() for name, value in results.items() if name.startswith("mixed/two/checkpoint"))


def test_the_metrics_are_the_same(results):
    one, two = results["labels/one/metrics"], results["labels/two/metrics"]
    assert 19 in one  # num_examples
    np.testing.assert_allclose(two, one, rtol=1e-5)

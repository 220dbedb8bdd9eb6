"""Training and prediction on two replicas, with batches that do not divide, equal those on one."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).with_name("two_replicas.py")
# DbofModel has batch normalisation, whose statistics are those of both replicas.
MODELS = ["FrameLevelLogisticModel", "LstmModel", "DbofModel"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    output = tmp_path_factory.mktemp("two_replicas") / "results.npz"
    repository = str(SCRIPT.parents[2])
    path = os.pathsep.join([repository, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(SCRIPT), str(output)]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-5000:]
    return dict(np.load(output))


def of_one_and_two(results, model, part):
    names = [name.split("/")[2] for name in results if name.startswith(f"{model}/one/{part}")]
    assert names
    return [(name, results[f"{model}/one/{name}"], results[f"{model}/two/{name}"]) for name in names]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("quantity", ["loss", "reg_loss", "hit_at_one", "perr"])
def test_logs_add_up_to_those_of_one_replica(results, model, quantity):
    logs = of_one_and_two(results, model, quantity)
    assert len(logs) == 2
    assert logs[0][1] > 0  # the metrics are logged at the first step only
    for name, one, two in logs:
        np.testing.assert_allclose(two, one, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("model", MODELS)
def test_weights_take_the_same_steps(results, model):
    for name, one, two in of_one_and_two(results, model, "weight"):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("model", MODELS)
def test_predictions_come_in_order(results, model):
    ((_, ids, ids_of_two),) = of_one_and_two(results, model, "video_ids")
    assert ids.tolist() == ids_of_two.tolist() == [f"video{number}".encode() for number in range(6)]
    ((_, labels, labels_of_two),) = of_one_and_two(results, model, "labels")
    np.testing.assert_array_equal(labels_of_two, labels)
    ((_, predictions, predictions_of_two),) = of_one_and_two(results, model, "predictions")
    assert len(predictions) == 6
    np.testing.assert_allclose(predictions_of_two, predictions, rtol=1e-4)

"""Parallel distillation on two replicas, the last batch leaving one of them empty, equals that on one."""

import os
import pathlib
import subprocess
import sys

import numpy as np

SCRIPT = pathlib.Path(__file__).with_name("two_replicas.py")


def test_two_replicas_distill_as_one_does(tmp_path):
    output = tmp_path / "results.npz"
    path = os.pathsep.join([str(SCRIPT.parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(SCRIPT), str(output)]
    run = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=240, check=False
    )
    assert run.returncode == 0, run.stderr[-5000:]
    results = dict(np.load(output))
    names = sorted(name[len("one/") :] for name in results if name.startswith("one/"))
    assert {f"{part}_loss of step 1" for part in ("rep", "pred", "ce", "int", "teacher")} < set(names)
    for name in names:
        np.testing.assert_allclose(results[f"two/{name}"], results[f"one/{name}"], rtol=1e-4, atol=1e-6, err_msg=name)

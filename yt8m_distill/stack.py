"""The one module that knows which Keras this package runs on.

The code base speaks the Keras 2 API, which two sets of packages provide:

- the Keras 2 stack: tensorflow 2.15 with keras 2.15 and, where it has wheels, tensorflow-addons 0.23;
- the tf-keras stack: tensorflow 2.16 or newer with tf-keras of the same minor version, no tensorflow-addons.

Every other module writes `from yt8m_distill.stack import keras` and runs on either unchanged (`tf.keras` is
Keras 3 on the second). `keras` is imported on first use, so importing the package, asking a command for
`--help` or computing a metric does not load tensorflow.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Mapping
from importlib import metadata
from types import ModuleType

# Each of these provides the module `tensorflow`.
TENSORFLOW_DISTRIBUTIONS = (
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-cpu-aws",
    "tensorflow-intel",
    "tensorflow-macos",
    "tensorflow-rocm",
)
DISTRIBUTIONS = (*TENSORFLOW_DISTRIBUTIONS, "keras", "tf-keras", "tensorflow-addons", "numpy")

KERAS_2_MINOR = (2, 15)  # the last tensorflow whose own Keras is Keras 2
LAST_KERAS_2_PYTHON = (3, 11)  # tensorflow 2.15 has no wheels for a newer Python

PIP_INSTALL = "python -m pip install"
ADDONS_REQUIREMENT = "tensorflow-addons>=0.23,<0.24"


def check_stack(python: tuple[int, int], versions: Mapping[str, str | None], environ: Mapping[str, str]) -> str | None:
    """Says what is wrong with a combination of packages, and how to mend it.

    Args:
        python: the (major, minor) version of Python.
        versions: the installed version of each name in `DISTRIBUTIONS`; None or no entry where it is absent.
        environ: the environment variables.

    Returns:
        None if the package runs on this combination, else a message that names the first thing found wrong
        and the exact command that mends it.
    """
    distribution = _tensorflow_distribution(versions)
    if distribution is None:
        command = _install_command(python)
        return f"yt8m_distill needs tensorflow, which is not installed. Install it: {command}"
    tensorflow = f"{distribution} {versions[distribution]}"
    minor = _minor(versions[distribution])
    if minor < KERAS_2_MINOR:
        command = _install_command(python, distribution)
        return f"yt8m_distill needs tensorflow 2.15 or newer, found {tensorflow}. Upgrade it: {command}"
    if minor == KERAS_2_MINOR:
        return _check_keras_2_stack(tensorflow, versions, environ)
    return _check_tf_keras_stack(tensorflow, minor, versions)


def _check_keras_2_stack(tensorflow: str, versions: Mapping[str, str | None], environ: Mapping[str, str]) -> str | None:
    keras, numpy = versions.get("keras"), versions.get("numpy")
    if keras is None or _minor(keras) != KERAS_2_MINOR:
        found = f"found keras {keras}" if keras else "which is not installed"
        return f'{tensorflow} needs keras 2.15, {found}. Install it: {PIP_INSTALL} "keras>=2.15,<2.16"'
    if numpy is not None and _minor(numpy) >= (2, 0):
        return f'{tensorflow} needs numpy 1, found numpy {numpy}. Install it: {PIP_INSTALL} "numpy<2"'
    # The spellings that tensorflow itself accepts. With tf-keras installed the variable does no less harm:
    # tf.keras, and with it all of tensorflow-addons, would then come from another library than our models.
    if environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True"):
        return (
            f"The environment variable TF_USE_LEGACY_KERAS takes tf.keras of {tensorflow} away from"
            f" keras {keras}, on which yt8m_distill and tensorflow-addons rely."
            " Remove it: unset TF_USE_LEGACY_KERAS"
        )
    return None


def _check_tf_keras_stack(tensorflow: str, minor: tuple[int, int], versions: Mapping[str, str | None]) -> str | None:
    tf_keras, tensorflow_addons = versions.get("tf-keras"), versions.get("tensorflow-addons")
    if tf_keras is None or _minor(tf_keras) != minor:
        wanted = f"{minor[0]}.{minor[1]}"
        found = f"found tf-keras {tf_keras}" if tf_keras else "which is not installed"
        # --no-deps: it depends on nothing but tensorflow, which is there, if perhaps as tensorflow-cpu.
        command = f'{PIP_INSTALL} --no-deps "tf-keras=={wanted}.*"'
        return f"{tensorflow} needs tf-keras {wanted}, {found}. Install it: {command}"
    if tensorflow_addons is not None:
        return (
            f"tensorflow-addons {tensorflow_addons} does not work with {tensorflow}, only with"
            " tensorflow 2.15. Remove it: python -m pip uninstall -y tensorflow-addons"
        )
    return None


def _install_command(python: tuple[int, int], distribution: str = "tensorflow") -> str:
    if python <= LAST_KERAS_2_PYTHON:
        return f'{PIP_INSTALL} "{distribution}>=2.15,<2.16" "keras>=2.15,<2.16" "numpy<2"'
    return f'{PIP_INSTALL} --upgrade "{distribution}>=2.18" "tf-keras>=2.18"'


def _tensorflow_distribution(versions: Mapping[str, str | None]) -> str | None:
    return next((name for name in TENSORFLOW_DISTRIBUTIONS if versions.get(name)), None)


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def require_stack() -> None:
    """Checks this process's Python, installed packages and environment without importing any of the packages.

    Raises:
        ImportError: the combination does not work; the message is `check_stack`'s.
    """
    message = check_stack(sys.version_info[:2], installed_versions(), os.environ)
    if message is not None:
        raise ImportError(message)


def installed_versions() -> dict[str, str | None]:
    """The installed version, or None, of each distribution in `DISTRIBUTIONS`."""
    return {name: _installed_version(name) for name in DISTRIBUTIONS}


def _installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def addons() -> ModuleType:
    """Imports tensorflow_addons without the end-of-life warning that it gives at import.

    Raises:
        ImportError: it is not installed; the message names the stack that has it.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"\s*TensorFlow Addons", category=UserWarning)
            return importlib.import_module("tensorflow_addons")
    except ModuleNotFoundError as error:
        if error.name != "tensorflow_addons":
            raise
        raise ImportError(
            "tensorflow-addons is needed here and not installed: it exists only for Python 3.9-3.11 with"
            " tensorflow 2.15 on macOS and Linux x86-64, where"
            f" `{PIP_INSTALL} '{ADDONS_REQUIREMENT}'` installs it."
        ) from error


def _import_keras() -> ModuleType:
    versions = installed_versions()
    minor = _minor(versions[_tensorflow_distribution(versions)])
    return importlib.import_module("keras" if minor == KERAS_2_MINOR else "tf_keras")


def __getattr__(name: str) -> ModuleType:
    """Imports `keras` when it is first asked for (PEP 562)."""
    if name != "keras":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["keras"] = _import_keras()
    return globals()["keras"]

"""The stack check on made-up combinations, and the stack that these tests run on."""

import subprocess
import sys
import types
import warnings
from importlib import metadata, util
from pathlib import Path

import pytest

from yt8m_distill import stack

ROOT = Path(__file__).resolve().parents[1]

KERAS_2_STACK = {
    "tensorflow": "2.15.1",
    "keras": "2.15.0",
    "tensorflow-addons": "0.23.0",
    "numpy": "1.26.4",
}
TF_KERAS_STACK = {"tensorflow": "2.21.0", "keras": "3.15.1", "tf-keras": "2.21.0", "numpy": "2.5.5"}


def check(versions, python=(3, 11), environ=None, **changes):
    """check_stack on `versions` with some of them changed (tf_keras="2.21.0" for "tf-keras")."""
    versions = {**versions, **{name.replace("_", "-"): version for name, version in changes.items()}}
    return stack.check_stack(python, versions, environ or {})


@pytest.mark.parametrize(
    ("python", "versions"),
    [
        ((3, 9), KERAS_2_STACK),
        ((3, 11), KERAS_2_STACK),
        ((3, 11), {**KERAS_2_STACK, "tensorflow-addons": None}),  # Linux on ARM has no tensorflow-addons
        ((3, 11), {"tensorflow-cpu": "2.15.0", "keras": "2.15.0", "numpy": "1.26.4"}),
        ((3, 11), {"tensorflow-macos": "2.15.1", "keras": "2.15.0", "numpy": "1.26.4"}),
        ((3, 13), TF_KERAS_STACK),
        ((3, 12), {"tensorflow": "2.16.2", "tf-keras": "2.16.0", "keras": "3.3.3", "numpy": "1.26.4"}),
        ((3, 11), {"tensorflow-cpu": "2.18.1", "tf-keras": "2.18.0", "numpy": "2.0.2"}),
        ((3, 13), {"tensorflow": "2.22.0rc0", "tf-keras": "2.22.0", "numpy": "2.5.5"}),
    ],
)
def test_a_combination_that_works_is_accepted(python, versions):
    assert stack.check_stack(python, versions, {}) is None


@pytest.mark.parametrize("value", ["0", "", "false"])
def test_a_legacy_keras_variable_that_tensorflow_reads_as_no_is_accepted(value):
    assert check(KERAS_2_STACK, environ={"TF_USE_LEGACY_KERAS": value}) is None


def test_the_legacy_keras_variable_is_harmless_on_the_tf_keras_stack():
    assert check(TF_KERAS_STACK, python=(3, 13), environ={"TF_USE_LEGACY_KERAS": "1"}) is None


def assert_message(message, found, command):
    """The message says what was found and ends with the exact command, and takes one or two sentences."""
    assert message is not None
    for part in found:
        assert part in message
    assert message.endswith(f": {command}")
    assert message.count(". ") == 1
    assert "\n" not in message


@pytest.mark.parametrize(
    ("python", "command"),
    [
        ((3, 9), 'python -m pip install "tensorflow>=2.15,<2.16" "keras>=2.15,<2.16" "numpy<2"'),
        ((3, 11), 'python -m pip install "tensorflow>=2.15,<2.16" "keras>=2.15,<2.16" "numpy<2"'),
        ((3, 12), 'python -m pip install --upgrade "tensorflow>=2.18" "tf-keras>=2.18"'),
        ((3, 13), 'python -m pip install --upgrade "tensorflow>=2.18" "tf-keras>=2.18"'),
    ],
)
def test_tensorflow_missing(python, command):
    assert_message(check({"keras": "3.15.1"}, python), ["tensorflow", "not installed"], command)


@pytest.mark.parametrize(
    ("python", "distribution", "version", "command"),
    [
        (
            (3, 10),
            "tensorflow",
            "2.14.1",
            'python -m pip install "tensorflow>=2.15,<2.16" "keras>=2.15,<2.16" "numpy<2"',
        ),
        (
            (3, 9),
            "tensorflow-cpu",
            "2.9.3",
            'python -m pip install "tensorflow-cpu>=2.15,<2.16" "keras>=2.15,<2.16" "numpy<2"',
        ),
        (
            (3, 12),
            "tensorflow",
            "1.15.5",
            'python -m pip install --upgrade "tensorflow>=2.18" "tf-keras>=2.18"',
        ),
    ],
)
def test_tensorflow_too_old(python, distribution, version, command):
    message = check({distribution: version, "keras": "2.15.0"}, python)
    assert_message(message, [f"found {distribution} {version}", "2.15 or newer"], command)


@pytest.mark.parametrize(
    ("keras", "found"),
    [("3.0.5", "found keras 3.0.5"), ("2.14.0", "found keras 2.14.0"), (None, "keras 2.15, which is not")],
)
def test_another_keras_than_that_of_tensorflow_2_15(keras, found):
    message = check(KERAS_2_STACK, keras=keras)
    assert_message(message, ["tensorflow 2.15.1", found], 'python -m pip install "keras>=2.15,<2.16"')


def test_numpy_2_beside_tensorflow_2_15():
    message = check(KERAS_2_STACK, numpy="2.0.2")
    assert_message(message, ["tensorflow 2.15.1", "found numpy 2.0.2"], 'python -m pip install "numpy<2"')


@pytest.mark.parametrize("tf_keras", [None, "2.15.1"])
@pytest.mark.parametrize("value", ["1", "true", "True"])
def test_legacy_keras_variable_beside_tensorflow_2_15(tf_keras, value):
    message = check(KERAS_2_STACK, environ={"TF_USE_LEGACY_KERAS": value}, tf_keras=tf_keras)
    assert_message(message, ["TF_USE_LEGACY_KERAS", "tensorflow 2.15.1"], "unset TF_USE_LEGACY_KERAS")


@pytest.mark.parametrize(
    ("tf_keras", "found"),
    [(None, "tf-keras 2.21, which is not installed"), ("2.18.0", "tf-keras 2.21, found tf-keras 2.18.0")],
)
def test_tf_keras_missing_or_of_another_minor(tf_keras, found):
    message = check(TF_KERAS_STACK, python=(3, 13), tf_keras=tf_keras)
    command = 'python -m pip install --no-deps "tf-keras==2.21.*"'
    assert_message(message, ["tensorflow 2.21.0", found], command)


def test_tensorflow_addons_beside_a_newer_tensorflow():
    message = check(TF_KERAS_STACK, tensorflow_addons="0.23.0")
    found = ["tensorflow-addons 0.23.0", "tensorflow 2.21.0", "only with tensorflow 2.15"]
    assert_message(message, found, "python -m pip uninstall -y tensorflow-addons")


def test_a_wrong_combination_fails_the_import_with_the_message(monkeypatch):
    monkeypatch.setattr(stack, "installed_versions", lambda: {**KERAS_2_STACK, "keras": "3.0.5"})
    with pytest.raises(ImportError, match=r"needs keras 2\.15, found keras 3\.0\.5"):
        stack.require_stack()


def test_installed_versions_are_those_of_this_environment():
    versions = stack.installed_versions()
    assert versions["numpy"] == metadata.version("numpy")
    assert set(versions) == set(stack.DISTRIBUTIONS)


def run_python(code, *options):
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_importing_the_package_does_not_import_tensorflow():
    heavy = ["tensorflow", "keras", "tf_keras", "numpy", "pandas"]
    result = run_python(
        "import sys, yt8m_distill, yt8m_distill.stack\n"
        f"print(yt8m_distill.__version__, [name for name in {heavy} if name in sys.modules])"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "0.1.0 []"


def test_the_import_fails_in_an_environment_without_tensorflow():
    # -S and an explicit path: the standard library and this checkout, and no installed package.
    result = run_python(f"import sys; sys.path.insert(0, {str(ROOT)!r}); import yt8m_distill", "-I", "-S")
    assert result.returncode == 1
    expected = "ImportError: yt8m_distill needs tensorflow, which is not installed. Install it: python"
    assert expected in result.stderr


def test_keras_has_the_keras_2_api():
    keras = stack.keras
    assert keras.__version__.startswith("2.")
    # Keras 2 names that Keras 3 no longer has.
    assert hasattr(keras.optimizers, "legacy")
    assert hasattr(keras.backend, "in_train_phase")
    assert stack.keras is keras


def test_keras_is_that_of_tensorflow_on_the_keras_2_stack():
    if stack.keras.__name__ != "keras":
        pytest.skip("the tf-keras stack: tf.keras is Keras 3 there")
    import tensorflow as tf

    assert stack.keras.layers.Dense is tf.keras.layers.Dense
    assert stack.keras.Model is tf.keras.Model


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'yt8m_distill\.stack' has no attribute 'kerras'"):
        _ = stack.kerras


def test_addons_imports_tensorflow_addons_without_a_warning():
    if util.find_spec("tensorflow_addons") is None:
        pytest.skip("tensorflow-addons is not installed")
    result = run_python("from yt8m_distill.stack import addons; print(addons().optimizers.LAMB.__name__)")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "LAMB"
    assert "Addons" not in result.stderr


def test_addons_names_the_other_stack_where_tensorflow_addons_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_addons", None)  # what `import` treats as not installed
    with pytest.raises(ImportError, match=r"Python 3\.9-3\.11 with tensorflow 2\.15") as caught:
        stack.addons()
    assert str(caught.value).endswith("installs it.")


def test_addons_leaves_other_warnings_and_the_filters_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_addons", types.ModuleType("tensorflow_addons"))
    filters = list(warnings.filters)
    assert stack.addons() is sys.modules["tensorflow_addons"]
    assert warnings.filters == filters

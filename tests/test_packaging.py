"""What setup.py declares, the doors at the top level, and the search for a Python."""

import os
import re
import runpy
import stat
import subprocess
import sys
import types
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import yt8m_distill
from yt8m_distill import stack

ROOT = Path(__file__).resolve().parents[1]

LINUX = {"sys_platform": "linux", "platform_machine": "x86_64"}
LINUX_ARM = {"sys_platform": "linux", "platform_machine": "aarch64"}
MAC_ARM = {"sys_platform": "darwin", "platform_machine": "arm64"}
WINDOWS = {"sys_platform": "win32", "platform_machine": "AMD64"}


@pytest.fixture(scope="module")
def egg_info(tmp_path_factory):
    """The folder of metadata that setuptools makes of setup.py."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("egg_info")
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return folder / "yt8m_distill.egg-info"


@pytest.fixture(scope="module")
def package_info(egg_info):
    return Parser().parsestr((egg_info / "PKG-INFO").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def requirements(egg_info):
    """Returns a function: the requirements {name: specifier} that hold on a Python, platform and extra."""

    def on(python, platform, extra=""):
        environment = {**platform, "python_version": python, "python_full_version": f"{python}.0"}
        found = {}
        for requirement in _read_requirements(egg_info / "requires.txt", extra):
            if requirement.marker is None or requirement.marker.evaluate(environment):
                assert requirement.name not in found, f"{requirement.name} is required twice"
                found[requirement.name] = requirement.specifier
        return found

    return on


def _read_requirements(path, extra):
    """Parses requires.txt: sections headed [extra:marker], of which the unnamed ones hold always."""
    section, marker = "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section, _, marker = line.strip("[]").partition(":")
        elif line and section == extra:
            yield Requirement(f"{line}; {marker}" if marker else line)


@pytest.mark.parametrize("python", ["3.9", "3.10", "3.11"])
def test_requirements_of_the_keras_2_stack(requirements, python):
    assert requirements(python, LINUX) == {
        "absl-py": SpecifierSet(),
        "pandas": SpecifierSet(),
        "numpy": SpecifierSet("<2"),
        "tensorflow": SpecifierSet(">=2.15.1,<2.16"),
        "keras": SpecifierSet(">=2.15,<2.16"),
        "tensorflow-addons": SpecifierSet(">=0.23,<0.24"),
        "setuptools": SpecifierSet("<82"),
    }


@pytest.mark.parametrize("python", ["3.12", "3.13"])
@pytest.mark.parametrize("platform", [LINUX, LINUX_ARM, MAC_ARM])
def test_requirements_of_the_tf_keras_stack(requirements, python, platform):
    assert requirements(python, platform) == {
        "absl-py": SpecifierSet(),
        "pandas": SpecifierSet(),
        "numpy": SpecifierSet(),
        "tensorflow": SpecifierSet(">=2.18"),
        "tf-keras": SpecifierSet(">=2.18"),
        "tensorboard": SpecifierSet(),
    }


@pytest.mark.parametrize(
    ("platform", "has_wheel"), [(LINUX, True), (MAC_ARM, True), (LINUX_ARM, False), (WINDOWS, False)]
)
def test_tensorflow_addons_is_required_only_where_it_has_a_wheel(requirements, platform, has_wheel):
    assert ("tensorflow-addons" in requirements("3.11", platform)) == has_wheel


def test_the_gpu_extra_asks_for_the_same_tensorflow(requirements):
    for python in ("3.9", "3.11", "3.12", "3.13"):
        gpu = requirements(python, LINUX, extra="gpu")
        assert gpu == {"tensorflow": requirements(python, LINUX)["tensorflow"]}


def test_the_stack_check_accepts_what_setup_installs(requirements):
    for python in ((3, 9), (3, 11), (3, 12), (3, 13)):
        required = requirements("{}.{}".format(*python), LINUX)
        versions = {"tensorflow": "2.15.1", "keras": "2.15.0", "numpy": "1.26.4"}
        if python >= (3, 12):
            versions = {"tensorflow": "2.21.0", "tf-keras": "2.21.0", "numpy": "2.5.5"}
        assert all(required[name].contains(version) for name, version in versions.items())
        assert stack.check_stack(python, versions, {}) is None


def test_the_message_of_addons_asks_for_the_range_of_setup(requirements):
    asked = Requirement(stack.ADDONS_REQUIREMENT)
    assert asked.specifier == requirements("3.11", LINUX)[asked.name]


def test_metadata(package_info):
    assert package_info["Version"] == yt8m_distill.__version__
    assert SpecifierSet(package_info["Requires-Python"]) == SpecifierSet(">=3.9")
    assert "Apache-2.0" in (package_info["License"], package_info["License-Expression"])


def test_only_the_package_is_installed(egg_info):
    assert (egg_info / "top_level.txt").read_text(encoding="utf-8").split() == ["yt8m_distill"]


def test_every_folder_with_modules_is_a_package():
    """find_packages passes over a folder without __init__.py, and the installed package would lack it."""
    folders = {path.parent for path in (ROOT / "yt8m_distill").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_console_scripts_lead_to_functions(egg_info):
    text = (egg_info / "entry_points.txt").read_text(encoding="utf-8")
    scripts = dict(line.split(" = ") for line in text.splitlines() if " = " in line)
    assert scripts == {
        "yt8m-train": "yt8m_distill.cli.train:main",
        "yt8m-eval": "yt8m_distill.cli.eval:main",
        "yt8m-inference": "yt8m_distill.cli.inference:main",
        "yt8m-export": "yt8m_distill.cli.export_model:main",
        "yt8m-ensemble": "yt8m_distill.cli.ensemble:main",
        "yt8m-segment-eval": "yt8m_distill.cli.segment_eval_inference:main",
        "yt8m-cache-teacher": "yt8m_distill.cli.cache_teacher:main",
        "yt8m-frames": "yt8m_distill.cli.frames:main",
        "yt8m-download": "yt8m_distill.cli.download:main",
        "yt8m-doctor": "yt8m_distill.cli.doctor:main",
        "yt8m-study": "yt8m_distill.cli.study:main",
        "yt8m-synthetic": "yt8m_distill.cli.synthetic:main",
        "yt8m-cost": "yt8m_distill.cli.cost:main",
        "yt8m-convert-json": "yt8m_distill.cli.convert_prediction_from_json_to_csv:main",
    }
    for target in scripts.values():
        module, function = target.split(":")
        source = (ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", source, re.MULTILINE), f"{module} has no {function}()"


@pytest.mark.parametrize("name", [path.stem for path in ROOT.glob("*.py") if path.stem != "setup"])
def test_a_door_calls_its_command_and_exits_with_its_status(name, monkeypatch):
    command = types.ModuleType(f"yt8m_distill.cli.{name}")
    command.main = lambda argv=None: 7
    monkeypatch.setitem(sys.modules, "yt8m_distill.cli", types.ModuleType("yt8m_distill.cli"))
    monkeypatch.setitem(sys.modules, command.__name__, command)
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / f"{name}.py"), run_name="__main__")
    assert caught.value.code == 7


def test_citation_names_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {yt8m_distill.__version__}\n" in citation


def find_python(argument, path, home="/nonexistent"):
    environment = {"PATH": os.pathsep.join(map(str, path)), "HOME": str(home)}
    command = ["/bin/sh", str(ROOT / "tools" / "find_python"), argument]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def make_python(tmp_path):
    """Returns a function that makes a fake interpreter: it answers find_python's three questions."""

    def make(path, version=None, has_venv=True):
        path = tmp_path / path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ["#!/bin/sh", 'case "$2" in']
        if version is None:
            lines = ["#!/bin/sh", "echo 'pyenv: command not found' >&2; exit 127"]
        else:
            lines += [f"*version_info*) echo {version} ;;", f"*ensurepip*) exit {0 if has_venv else 1} ;;"]
            lines += [f"*executable*) echo {path} ;;", "*) exit 1 ;;", "esac"]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make


@pytest.fixture
def tools_path(tmp_path):
    """A folder for PATH with awk, which find_python uses, and no Python."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for folder_on_path in os.environ["PATH"].split(os.pathsep):
        if (Path(folder_on_path) / "awk").exists():
            (folder / "awk").symlink_to(Path(folder_on_path) / "awk")
            break
    return folder


def test_find_python_default_prefers_the_keras_2_stack(make_python, tmp_path):
    make_python("bin/python3.13", "3.13")
    best = make_python("bin/python3.10", "3.10")
    result = find_python("default", [tmp_path / "bin"])
    assert (result.returncode, result.stdout.strip()) == (0, str(best))


def test_find_python_newest(make_python, tmp_path):
    newest = make_python("bin/python3.13", "3.13")
    make_python("bin/python3.11", "3.11")
    result = find_python("newest", [tmp_path / "bin"])
    assert (result.returncode, result.stdout.strip()) == (0, str(newest))


def test_find_python_passes_over_a_shim_that_does_not_run(make_python, tmp_path):
    make_python("shims/python3.11")
    good = make_python("bin/python3.11", "3.11")
    result = find_python("default", [tmp_path / "shims", tmp_path / "bin"])
    assert (result.returncode, result.stdout.strip()) == (0, str(good))


def test_find_python_looks_under_pyenv(make_python, tmp_path):
    good = make_python(".pyenv/versions/3.11.7/bin/python", "3.11")
    result = find_python("default", [tmp_path / "bin"], home=tmp_path)
    assert (result.returncode, result.stdout.strip()) == (0, str(good))


def test_find_python_takes_a_python3_of_the_right_version(make_python, tmp_path):
    good = make_python("bin/python3", "3.12")
    result = find_python("default", [tmp_path / "bin"])
    assert (result.returncode, result.stdout.strip()) == (0, str(good))


def test_find_python_says_what_it_found_and_why_that_does_not_serve(make_python, tmp_path, tools_path):
    make_python("bin/python3.11", "3.11", has_venv=False)
    make_python("bin/python3.10")
    make_python("bin/python3", "3.8")
    result = find_python("default", [tmp_path / "bin", tools_path])
    assert result.returncode == 1
    assert result.stdout == ""
    assert "no usable Python 3.9-3.13" in result.stderr
    assert f"{tmp_path}/bin/python3.11 has no venv or ensurepip module" in result.stderr
    assert "apt-get install python3.11-venv" in result.stderr
    assert f"{tmp_path}/bin/python3.10 does not run" in result.stderr
    assert result.stderr.count(f"{tmp_path}/bin/python3 is Python 3.8") == 1


def test_find_python_checks_the_interpreter_that_it_is_given(make_python, tmp_path):
    good = make_python("elsewhere/python", "3.12")
    old = make_python("elsewhere/old", "3.8")
    accepted = find_python(str(good), [tmp_path])
    assert (accepted.returncode, accepted.stdout.strip()) == (0, str(good))
    refused = find_python(str(old), [tmp_path])
    assert refused.returncode == 1
    assert f"{old} is Python 3.8" in refused.stderr


def test_find_python_finds_the_python_that_runs_these_tests():
    """With real interpreters: what it prints runs, and is of a supported version."""
    path = [Path(sys.base_prefix) / "bin", *os.environ["PATH"].split(os.pathsep)]
    result = find_python("newest", path)
    assert result.returncode == 0, result.stderr
    code = "import sys; print((3, 9) <= sys.version_info[:2] <= (3, 13))"
    ran = subprocess.run([result.stdout.strip(), "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "True"


@pytest.mark.parametrize("script", [".ci/run", "tools/find_python"])
def test_scripts_are_executable(script):
    assert os.access(ROOT / script, os.X_OK)

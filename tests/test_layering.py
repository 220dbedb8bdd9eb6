"""Imports point down: each folder of the package is one station on the road of a video, and knows those below it."""

import ast
import pathlib

import pytest

import yt8m_distill

PACKAGE = pathlib.Path(yt8m_distill.__file__).parent
MAY_IMPORT = {
    "cli": {"serving", "analysis", "training", "selection", "distillation", "models", "metrics", "data"},
    "serving": {"models", "data"},
    "analysis": {"training", "selection", "distillation", "models", "metrics", "data"},
    "training": {"selection", "distillation", "models", "metrics", "data"},
    "selection": {"models", "metrics", "data"},
    "distillation": {"models", "data"},
    "models": {"data"},
    "metrics": set(),
    "data": set(),
}
MODULES = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}  # for all; they know no folder


def imported_parts(path):
    """Folders and modules of the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "yt8m_distill":
            names = [f"yt8m_distill.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names = [node.module]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("yt8m_distill."))


def test_every_folder_has_its_place():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(MAY_IMPORT)


@pytest.mark.parametrize("folder", [*MAY_IMPORT, ""])
def test_imports_point_down(folder):
    allowed = MAY_IMPORT.get(folder, set()) | MODULES | {folder}
    for path in (PACKAGE / folder).glob("**/*.py" if folder else "*.py"):
        above = set(imported_parts(path)) - allowed
        assert not above, f"{path} imports {', '.join(sorted(above))}"

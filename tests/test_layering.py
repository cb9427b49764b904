from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import taskgrain

ROOT = Path(taskgrain.__file__).parent
ARCHITECTURE = Path(__file__).parent.parent / "docs" / "architecture.md"
# The first block after the words that announce it, each name a layer.
LAYERS = tuple(
    ARCHITECTURE.read_text(encoding="utf-8")
    .split("holds the order\n\n```\n")[1]
    .split("```")[0]
    .split()
)
ANNEXES = sorted(
    path.name for path in (ROOT / "tools").iterdir() if (path / "command.py").is_file()
)
WITHOUT_TORCH = (
    *("version", "errors", "names", "labels", "config", "jobs", "tabletop"),
    *("statistics", "results", "learned", "report"),
    *(f"tools/{name}" for name in ANNEXES if name not in ("features", "export")),
)
FRONT_DOOR = "cli/main.py"  # the one module that imports annexes
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem in LAYERS)
NO_FILES = ("models", "decoding", "losses", "metrics")
# Files below `SHORT` lines, each with why it is no part of a neighbour. `__init__.py` may be short.
SHORT = 80
REASONS = {
    "__main__.py": "`python -m taskgrain` runs it, and must load nothing else first",
    "version.py": "below everything: the command line reads it without loading the package",
    "data/layouts/hmdb.py": "each layout has a module of its own",
    "cli/report.py": "the front door loads it at every start, so that it holds the options alone",
    "tools/export/command.py": "the front door loads it at every start, so that it loads no torch",
    "tools/pack/command.py": "the front door loads it at every start, so that it loads no codec",
    "tools/teach/command.py": "the front door loads it at every start, so that it loads no torch",
    "tools/render/command.py": "the front door loads it at every start, so that it loads no codec",
    "tools/render/rendering.py": "what the command runs, loaded only when it runs",
    **dict.fromkeys(
        (
            *("report/group_errors.py", "report/held_out.py", "report/palette.py"),
            *("report/summary.py", "statistics/alarm.py", "statistics/holm.py"),
            *("statistics/information.py", "statistics/power.py", "statistics/proportion.py"),
            *("statistics/resamples.py", "statistics/trend.py", "study/changes.py"),
            *("study/pace.py", "study/score_rows.py", "train/calibrate.py", "train/memory.py"),
        ),
        "to be merged",
    ),
}
FILES_ALLOWED = {"models/weights.py", "models/pretrained/stored.py"}


class Module(NamedTuple):
    imported: frozenset[str]
    functions: dict[str, int]  # name -> lines of the longest of that name


@cache
def module(path: Path) -> Module:
    names: set[str] = set()
    functions: dict[str, int] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            names.add(node.module)
        elif isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno
            functions[node.name] = max(length, functions.get(node.name, 0))
    return Module(frozenset(names), functions)


def imported(path: Path) -> frozenset[str]:
    return module(path).imported


def layer(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_module_is_in_a_layer() -> None:
    assert len(MODULES) > 60
    assert {layer(path) for path in MODULES} == set(LAYERS)


def test_imports_point_to_the_left() -> None:
    for path in MODULES:
        ours = {name.split(".")[1] for name in imported(path) if name.startswith("taskgrain.")}
        allowed = LAYERS[: LAYERS.index(layer(path)) + 1]
        assert ours <= set(allowed), path


def test_no_module_comes_back_in_by_the_front_door() -> None:
    assert "taskgrain" in imported(Path(__file__))
    for path in MODULES:
        assert "taskgrain" not in imported(path), f"{path}: name the module that is meant"


def test_an_annexe_is_imported_by_the_front_door_alone() -> None:
    assert len(ANNEXES) == len(list((ROOT / "tools").glob("*/__init__.py"))) >= 10
    for path in MODULES:
        place = path.relative_to(ROOT)
        own = f"taskgrain.tools.{place.parts[1]}" if place.parts[0] == "tools" else None
        for name in imported(path):
            is_annexe = name.startswith("taskgrain.tools.")
            is_own = own is not None and f"{name}.".startswith(f"{own}.")
            assert not is_annexe or is_own or place.as_posix() == FRONT_DOOR, f"{path}: {name}"


def test_the_report_computes_nothing_and_could_be_deleted() -> None:
    users = [path for path in MODULES if layer(path) not in ("report", "tools", "cli")]
    assert users
    for path in users:
        assert not any(name.startswith("taskgrain.report") for name in imported(path)), path


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_what_needs_no_torch_imports_none(name: str) -> None:
    paths = [path for path in MODULES if path.is_relative_to(ROOT / name) or layer(path) == name]
    assert paths
    for path in paths:
        assert not any(found.split(".")[0] == "torch" for found in imported(path)), path


def test_models_losses_metrics_and_decoding_read_no_file() -> None:
    paths = [path for path in MODULES if layer(path) in NO_FILES]
    assert len(paths) > 8
    for path in paths:
        if str(path.relative_to(ROOT)) in FILES_ALLOWED:
            continue
        assert not imported(path) & {"pathlib", "os", "io", "shutil"}, path


def test_files_and_functions_stay_small() -> None:
    for path in MODULES:
        assert path.read_text(encoding="utf-8").count("\n") <= 450, path
        for name, length in module(path).functions.items():
            assert length <= 70, f"{path}: {name} has {length} lines"


def test_a_short_file_has_a_reason_and_a_reason_has_a_short_file() -> None:
    short = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if path.name != "__init__.py" and path.read_text(encoding="utf-8").count("\n") < SHORT
    }
    unexplained = short - REASONS.keys()
    assert not unexplained, f"merge into a neighbour, or say why not: {sorted(unexplained)}"
    settled = {name for name, reason in REASONS.items() if reason != "to be merged"}
    assert settled <= short, f"no longer short: {sorted(settled - short)}"

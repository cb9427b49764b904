from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from taskgrain.cli.main import main

# Each worker imports torch anew: two take ten seconds of processor more than one.
ONE_WORKER = ("--workers", "1")
TWO_WORKERS = ("--workers", "2")
SMALL = (  # the whole road in a few seconds
    "study",
    "smoke",
    "--quiet",
    *ONE_WORKER,
    *("--set", "data.train=60", "--set", "data.validation=24"),
    *("--set", 'sources=["action-groups", "joint-full"]'),
    *("--set", "primary.source=joint-full", "--set", "primary.shots=1"),
    *("--set", "transfer.episodes={number=6, ways=3, shots=[1], queries=2}"),
    *("--set", "transfer.shots=[1]", "--set", "transfer.draws=3", "--set", "examples=3"),
    *("--set", "targets=[{name='kitchenware', support=26, scored=39, factors=['motion']}]"),
)
NOT_COMPARED = {"timings.jsonl", "provenance.json", "report.html", ".lock"}
"""Times, machine and worker count stand in these; everything else is equal for equal seeds."""


def digests(run: Path) -> dict[str, str]:
    files = sorted(path for path in run.rglob("*") if path.is_file())
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in NOT_COMPARED and not path.name.startswith("previous-")
    }


def with_drawn_clips(small_run: Path, out: Path) -> Path:
    """Begin a run with the clips that the small run drew, as if it had stopped before learning.

    A study that draws the same clips goes on from there, whatever else it sets otherwise.
    """
    for name in ("data", "store"):
        shutil.copytree(small_run / name, out / name)
    shutil.copy(small_run / "study.toml", out)
    (out / "cells").mkdir()
    for mark in (small_run / "cells").glob("prepare-*.done"):
        shutil.copy(mark, out / "cells")
    return out


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run: one for all of pytest's processes, made by the first to need it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # every process has a folder of its own in there
    out = folder / "runs" / "a run"
    out.parent.mkdir(exist_ok=True)
    with (out.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "report.html").is_file():
            main([*SMALL, "--out", str(out)])
    return out

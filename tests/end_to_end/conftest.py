from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from taskgrain.cli.main import main

SMALL = (  # the whole road in a few seconds
    "study",
    "smoke",
    "--quiet",
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


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a run"
    main([*SMALL, "--out", str(out), "--workers", "2"])
    return out

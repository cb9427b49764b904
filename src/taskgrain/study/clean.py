"""Remove what a run can compute again; results, weights and the report stay."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from taskgrain.study.folder import RunFolder


def remove_caches(folder: RunFolder) -> Iterator[tuple[Path, int]]:
    """Remove stored frames, features and training states; yield each path and its bytes."""
    # The marks go first: what is removed is computed again if a cell that is not done needs it.
    for pattern in ("prepare-*", "check*", "features-*"):
        for mark in (folder.root / "cells").glob(f"{pattern}.done"):
            mark.unlink()
    training = sorted(folder.root.glob("checkpoints/*/*training.*"))
    for path in (folder.root / "store", folder.root / "features", *training):
        if path.exists():
            yield path, _remove(path)


def _remove(path: Path) -> int:
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    num_bytes = sum(file.stat().st_size for file in files)
    if path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path)
    return num_bytes

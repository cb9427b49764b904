"""Folders of empty files, and what is read of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.manifest import Reading, Split
from taskgrain.data.opening import read_dataset

CLASSES = ("wave", "clap")


def touch(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def write(root: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def of_classes(pattern: str, number: int = 4) -> list[str]:
    """Fill a pattern with each class, as {c}, and with numbers, as {k}."""
    return [pattern.format(c=name, k=k) for name in CLASSES for k in range(number)]


def read(root: Path, options: LayoutOptions | None = None) -> Reading:
    """Read a folder that has nothing wrong and every file."""
    reading = read_dataset(root, options=options)
    assert reading.problems == ()
    assert all(record.path.exists() for record in reading.records)
    return reading


def counts(reading: Reading) -> dict[str, dict[str, int]]:
    """Count clips by split and class."""
    return {
        str(split): dict(Counter(record.category for record in reading.split(split)))
        for split in Split
        if reading.split(split)
    }


def has_note(reading: Reading, *words: str) -> bool:
    return any(all(word in note for word in words) for note in reading.notes)

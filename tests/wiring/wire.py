"""What the tables of wires are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Moves = Mapping[str, object]
Check = Callable[[Any, Any], bool]  # of the values before and after, where they are long


@dataclass(frozen=True, slots=True)
class Wire:
    """A setting, the value that it takes, and the arguments that then differ."""

    setting: str  # its key in the study file, as sources[1].lambda
    value: object
    moves: Moves  # argument -> its value afterwards, or a check of both values
    given: Mapping[str, object] = field(default_factory=dict)  # settings of before and after


def option(name: str, value: object) -> Moves:
    """Name an option of every training."""
    return {f"sources[*].options.{name}": value}


def renamed(old: str, new: str) -> Check:
    """Check that a list differs by one name alone."""
    return lambda before, after: after == [each.replace(old, new) for each in before] != before


def gains(*names: str) -> Check:
    """Check that a list has new entries, each with one of the names in it, and lost none."""

    def check(before: list[str], after: list[str]) -> bool:
        added = [entry for entry in after if entry not in before]
        kept = [entry for entry in after if entry in before]
        return kept == before and all(any(name in entry for entry in added) for name in names)

    return check


def loses(name: str) -> Check:
    """Check that a list lost its entries with a name, and nothing else."""
    return lambda before, after: after == [each for each in before if name not in each] != before


def without(cell: str) -> Check:
    """Check that a cell is gone, and no longer needed by another."""
    gone = re.compile(rf"{cell}, |, {cell}\b")
    return lambda before, after: (
        after == [gone.sub("", each) for each in before if not each.startswith(cell)] != before
    )

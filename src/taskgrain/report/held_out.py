"""Which categories were kept from every source, under which seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from taskgrain.report.words import printable


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The categories that were kept from every source of a seed."""

    seed: int | None  # None for all seeds
    siblings: tuple[str, ...]  # their group has other categories that were learned
    groups: tuple[str, ...]  # of whole groups
    others: tuple[str, ...]  # of a dataset without groups


def held_out_of(stored: object) -> tuple[HeldOut, ...]:
    """Read the content of held-out.json; what has another form is passed over."""
    entries = stored if isinstance(stored, list) else []
    return tuple(_entry(each) for each in entries if isinstance(each, Mapping))


def _entry(entry: Mapping[str, object]) -> HeldOut:
    seed = entry.get("seed")
    siblings, groups, others = (_names(entry.get(key)) for key in ("siblings", "groups", "others"))
    return HeldOut(seed if isinstance(seed, int) else None, siblings, groups, others)


def _names(stored: object) -> tuple[str, ...]:
    return tuple(printable(str(each)) for each in stored) if isinstance(stored, list) else ()


def held_out_words(held_out: Iterable[HeldOut]) -> str:
    """Phrase in one line what was held out under each seed; "" where nothing was."""
    return "; ".join(words for each in held_out if (words := _words(each)))


def _words(held: HeldOut) -> str:
    parts = (
        ("siblings", held.siblings),
        ("whole groups", held.groups),
        ("categories", held.others),
    )
    listed = [f"{name}: {', '.join(each)}" for name, each in parts if each]
    seed = "every seed" if held.seed is None else f"seed {held.seed}"
    return f"{seed} ({'. '.join(listed)})" if listed else ""

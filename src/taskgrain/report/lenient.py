"""Values of JSON and TOML read leniently: what has another form counts as absent."""

from __future__ import annotations

from collections.abc import Mapping

from taskgrain.report.words import printable

Json = Mapping[str, object]


def as_mapping(value: object) -> Json:
    """Return a JSON object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def as_sequence(value: object) -> tuple[object, ...]:
    """Return a list's items; none for anything else."""
    return tuple(value) if isinstance(value, list | tuple) else ()


def as_mappings(value: object) -> tuple[Json, ...]:
    """Return the objects of a list; none for anything else."""
    return tuple(as_mapping(item) for item in as_sequence(value) if isinstance(item, Mapping))


def text_of(mapping: Json, key: str) -> str | None:
    """Return the text at a key, without letters that XML refuses; None for anything else."""
    value = mapping.get(key)
    return printable(value) if isinstance(value, str) else None


def as_number(value: object) -> float | None:
    """Return a number as float; None for anything else, true and false too."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isinstance(value, int | float) else None


def numbers_of(value: object) -> dict[str, float]:
    """Return the numbers of an object by their keys."""
    found = ((key, as_number(item)) for key, item in as_mapping(value).items())
    return {key: item for key, item in found if item is not None}

"""Stored JSON and TOML, read into frozen records by pydantic; its faults in our words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from taskgrain.errors import nearest

T = TypeVar("T")
LARGEST = 1e30  # of a stored number: it and its inverse are float32's with room to spare
# What of a number is checked where it is read from a file.
Number = Annotated[float, Field(gt=-LARGEST, lt=LARGEST)]
AboveZero = Annotated[float, Field(gt=1 / LARGEST, lt=LARGEST)]
Count = Annotated[int, Field(ge=0)]
FromOne = Annotated[int, Field(ge=1)]
Location = Sequence[str | int]

# What pydantic's kinds of error expect, with the limits that it gives with them.
_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "string_too_short": "text of {min_length} letters or more",
    "tuple_type": "a list in brackets",
    "model_type": "a table of settings",
    "dataclass_type": "a table",
    "dict_type": "a table",
    "mapping_type": "a table",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "at least {min_length} in the list",
    "too_long": "at most {max_length} in the list",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "text of the form {pattern}",
}
_QUOTED = re.compile(r"'([^']*)'")
_BRANCH = re.compile(r"constrained-\w+|literal\[.*\]|int")  # how pydantic names alternatives
_adapters: dict[type, TypeAdapter[Any]] = {}
_LIST_BRANCH = re.compile(r"tuple\[.*\]")  # and a list among them; no name has brackets


def read_as(kind: type[T], stored: object) -> T:
    """Read what `json.loads` returned of a record that `dataclasses.asdict` wrote.

    Every field must be there, those too that have a default in Python. Other keys are passed over,
    unless the record's `__pydantic_config__` forbids them.

    Args:
        kind: a dataclass, whose annotations say what fits; its fields may be dataclasses.
        stored: JSON.

    Raises:
        ValueError: naming each key, what was found and what was expected.
    """
    try:
        # JSON mode: lists become tuples and objects dataclasses, and nothing else is converted.
        made = _adapter(kind).validate_json(json.dumps(stored), strict=True)
    except ValidationError as error:
        raise ValueError("; ".join(faults_of(error, entry="entry"))) from None
    # pydantic fills a missing field with its default: a training state that lacks an option would
    # then be taken as if it had been trained with that default.
    absent = list(_absent(made, stored, ()))
    if absent:
        raise ValueError("; ".join(f"{key}: is missing" for key in absent))
    return made


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    """Return the checks of a record; making them takes longer than reading one."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def _absent(made: object, stored: object, location: Location) -> Iterator[str]:
    """Name the fields that pydantic filled with their defaults."""
    if is_dataclass(made) and isinstance(stored, Mapping):
        for field in fields(made):
            inner = (*location, field.name)
            if field.name not in stored:
                yield _dotted(inner)
            else:
                yield from _absent(getattr(made, field.name), stored[field.name], inner)
    elif isinstance(made, tuple) and isinstance(stored, list | tuple):
        for index, (one, other) in enumerate(zip(made, stored, strict=True)):
            yield from _absent(one, other, (*location, index))


def faults_of(
    error: ValidationError,
    known_keys: Callable[[Location], Sequence[str]] = lambda location: (),
    *,
    entry: str = "setting",
) -> list[str]:
    """Name everything that does not fit: its dotted key, what was found and what was expected.

    Args:
        error: of pydantic.
        known_keys: returns the keys of the table at a location; the nearest is suggested.
        entry: what a key stands for.
    """
    faults = list[str]()
    # Of alternatives, as "a whole number or one of ...", pydantic reports a fault each. They are
    # joined by "or" where key and value are the same.
    expected = dict[tuple[str, str], list[str]]()  # of each key and value that does not fit
    errors = error.errors()
    for problem in errors:
        location = problem["loc"]
        inner = [other["loc"] for other in errors if len(other["loc"]) > len(location)]
        if any(loc[: len(location)] == location for loc in inner):
            continue  # "too few items", because an item did not fit: that one is named
        kind, key = problem["type"], _dotted(location)
        if kind in ("extra_forbidden", "unexpected_keyword_argument"):
            known = known_keys(location[:-1])
            faults.append(f"{key}: no such {entry}{nearest(str(location[-1]), known)}")
        elif kind == "missing":
            faults.append(f"{key}: is missing")
        elif kind == "json_invalid":
            faults.append(f"not JSON ({problem['ctx']['error']})")
        elif kind in _EXPECTED:
            if location and _BRANCH.fullmatch(str(location[-1])):
                key = _dotted(location[:-1])
            wanted = expected.setdefault((key, _shown(problem["input"])), [])
            wanted.append(_EXPECTED[kind].format_map(problem.get("ctx", {})))
            options = _QUOTED.findall(wanted[-1]) if kind == "literal_error" else []
            wanted[-1] += nearest(str(problem["input"]), options)
        else:
            message = problem["msg"].removeprefix("Value error, ")
            shown = _shown(problem["input"])
            found_it = f" (found {shown})" if shown else ""
            faults.append(f"{key + ': ' if key else ''}{message}{found_it}")
    for (key, shown), wanted in expected.items():
        where = f"{key}: " if key else ""
        faults.append(f"{where}found {shown or 'another thing'}; expected {' or '.join(wanted)}")
    return list(dict.fromkeys(faults))


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else ""


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        if isinstance(part, str) and _LIST_BRANCH.fullmatch(part):
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".").replace(".[key]", "")


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Part = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""A name that others are joined to by dots and slashes: a source, a target, a factor."""


Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """A frozen table of settings that refuses keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )

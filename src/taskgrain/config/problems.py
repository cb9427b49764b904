"""Say what does not fit in a study's settings, in the words of the study file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from types import UnionType
from typing import Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from taskgrain.config.settings import Study
from taskgrain.errors import nearest

# What Pydantic's kinds of error expect, with the limits that it gives with them.
_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "tuple_type": "a list in brackets",
    "model_type": "a table of settings",
    "dict_type": "a table of settings",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "at least {min_length} in the list",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "text of the form {pattern}",
}
_QUOTED = re.compile(r"'([^']*)'")
_BRANCH = re.compile(r"constrained-\w+|literal\[.*\]")  # how Pydantic names an alternative
_LIST_BRANCH = re.compile(r"tuple\[.*\]")  # and a list among them; no name has brackets


def problems_of(error: ValidationError, where: str) -> list[str]:
    """Say each setting that does not fit by its dotted key.

    Args:
        error: of `Study`.
        where: the name of the study, which every problem begins with.
    """
    problems = list[str]()
    expected = dict[tuple[str, str], list[str]]()  # of each key and value that does not fit
    found = error.errors()
    for problem in found:
        location = problem["loc"]
        inner = [other["loc"] for other in found if len(other["loc"]) > len(location)]
        if any(loc[: len(location)] == location for loc in inner):
            continue  # "too few items", because an item did not fit: that one is named
        kind, key = problem["type"], _dotted(location)
        if kind == "extra_forbidden":
            known = _known_keys(location[:-1])
            problems.append(f"{key}: no such setting{nearest(str(location[-1]), known)}")
        elif kind == "missing":
            problems.append(f"{key}: is missing")
        elif kind in _EXPECTED:
            if _BRANCH.fullmatch(str(location[-1])):
                key = _dotted(location[:-1])
            wanted = expected.setdefault((key, _shown(problem["input"])), [])
            wanted.append(_EXPECTED[kind].format_map(problem.get("ctx", {})))
            options = _QUOTED.findall(wanted[-1]) if kind == "literal_error" else []
            wanted[-1] += nearest(str(problem["input"]), options)
        else:
            said = problem["msg"].removeprefix("Value error, ")
            shown = _shown(problem["input"])
            found_it = f" (found {shown})" if shown else ""
            problems.append(f"{key + ': ' if key else ''}{said}{found_it}")
    for (key, shown), wanted in expected.items():
        problems.append(f"{key}: found {shown or 'another thing'}; expected {' or '.join(wanted)}")
    return [f"{where}: {problem}" for problem in dict.fromkeys(problems)]


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else ""


def _dotted(location: Sequence[str | int]) -> str:
    text = ""
    for part in location:
        if isinstance(part, str) and _LIST_BRANCH.fullmatch(part):
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".").replace(".[key]", "")


def _known_keys(location: Sequence[str | int]) -> list[str]:
    model: type[BaseModel] = Study
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None:
            inner = _model_in(field.annotation)
            model = inner or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, Union, UnionType):
        for inner in get_args(annotation):
            found = _model_in(inner)
            if found is not None:
                return found
    return None

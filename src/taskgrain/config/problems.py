"""Say what does not fit in a study's settings, in the words of the study file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import UnionType
from typing import Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from taskgrain.config.settings import Study
from taskgrain.errors import nearest


def problems_of(error: ValidationError, where: str) -> list[str]:
    """Say each setting that does not fit by its dotted key.

    Args:
        error: of `Study`.
        where: the name of the study, which every problem begins with.
    """
    problems = []
    found = error.errors()
    for problem in found:
        inner = [other["loc"] for other in found if len(other["loc"]) > len(problem["loc"])]
        if any(loc[: len(problem["loc"])] == problem["loc"] for loc in inner):
            continue  # "too few items", because an item did not fit: that one is named
        location = problem["loc"]
        key = _dotted(location)
        if problem["type"] == "extra_forbidden":
            known = _known_keys(location[:-1])
            unknown = str(location[-1])
            problems.append(f"{where}: {key}: no such setting{nearest(unknown, known)}")
        elif problem["type"] == "missing":
            problems.append(f"{where}: {key}: is missing")
        else:
            said = problem["msg"].removeprefix("Value error, ")
            shown = json.dumps(problem["input"], default=str)
            shown = f" (found {shown})" if len(shown) <= 80 else ""
            problems.append(f"{where}: {key + ': ' if key else ''}{said}{shown}")
    return list(dict.fromkeys(problems))


def _dotted(location: Sequence[str | int]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


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

"""What does not fit in a study's settings, in the words of the study file."""

from __future__ import annotations

from types import UnionType
from typing import Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from taskgrain.config.checked import Location, faults_of
from taskgrain.config.settings import Study


def problems_of(error: ValidationError, where: str) -> list[str]:
    """Name each setting that does not fit by its dotted key.

    Args:
        error: of `Study`.
        where: the name of the study, which every problem begins with.
    """
    return [f"{where}: {fault}" for fault in faults_of(error, _known_keys)]


def _known_keys(location: Location) -> list[str]:
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

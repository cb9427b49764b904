"""The keys of a study file, read from the models of its settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def setting_keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the key of every setting as docs/settings.md writes it, `sources[].lambda`."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        inner = table_of(field.annotation)
        if inner is None:
            yield key, field
            continue
        several = "[]" if get_origin(field.annotation) is tuple else ""
        several = ".NAME" if get_origin(field.annotation) is Mapping else several
        yield from setting_keys(inner, f"{key}{several}.")


def general(key: str) -> str:
    """Write `sources[1].lambda` and `encoders.wide.model` as `setting_keys` does."""
    return re.sub(r"^encoders\.[^.]+", "encoders.NAME", re.sub(r"\[\d+\]", "[]", key))


def table_of(annotation: object) -> type[BaseModel] | None:
    """Return the model of a table, a list of tables or named tables; None for a plain value."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None

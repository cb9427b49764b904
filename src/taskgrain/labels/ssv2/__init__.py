"""The label names of Something-Something v2: 174 templates, their official index, 50 action groups.

Label names, groups and counts only; no clip and no caption of the data set. Sources are named in
groups.json. The official index is alphabetical *without* brackets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from taskgrain.labels.template import strip_brackets


def _load(name: str) -> dict[str, object]:
    text = files("taskgrain.labels.ssv2").joinpath(name).read_text(encoding="utf-8")
    loaded: dict[str, object] = json.loads(text)
    return loaded


def _strings(mapping: object) -> dict[str, str]:
    assert isinstance(mapping, dict)
    return {str(key): str(value) for key, value in mapping.items()}


_GROUPS = _load("groups.json")

OFFICIAL_INDEX: Mapping[str, int] = MappingProxyType(
    {name: int(index) for name, index in _strings(_load("labels.json")).items()}
)
"""Template without brackets -> official class index, 0 to 173."""

BRACKETED: Mapping[str, str] = MappingProxyType(
    {strip_brackets(template): template for template in _strings(_GROUPS["train_count"])}
)
"""Template without brackets -> the same with its brackets."""

GROUP_OF: Mapping[str, str] = MappingProxyType(_strings(_GROUPS["group_of_template"]))
"""Template without brackets -> its action group, one of 50 (paper, the coarse labels)."""

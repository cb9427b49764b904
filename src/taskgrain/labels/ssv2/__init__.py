"""The label names of Something-Something v2: 174 templates, their official index, their levels.

Label names, groups and counts only; no clip and no caption of the data set. Each JSON file says
where it comes from. The official index is alphabetical *without* brackets. The contrastive groups
are templates that are easily taken for another; their score is, per group, the accuracy among its
clips with the logits restricted to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from taskgrain.labels.template import strip_brackets

VERSION = 1
"""Of the packaged files; raised whenever a name, a group or a table in them changes."""


def load_packaged(name: str) -> dict[str, object]:
    """Read one of the JSON files beside this module; it is of this version."""
    text = files("taskgrain.labels.ssv2").joinpath(name).read_text(encoding="utf-8")
    loaded: dict[str, object] = json.loads(text)
    assert loaded["version"] == VERSION, name
    return loaded


def strings(mapping: object) -> dict[str, str]:
    """Read a JSON object as text -> text."""
    assert isinstance(mapping, dict)
    return {str(key): str(value) for key, value in mapping.items()}


_GROUPS = load_packaged("groups.json")

OFFICIAL_INDEX: Mapping[str, int] = MappingProxyType(
    {name: int(index) for name, index in strings(load_packaged("labels.json")["index"]).items()}
)
"""Template without brackets -> official class index, 0 to 173, in this order."""

BRACKETED: Mapping[str, str] = MappingProxyType(
    {strip_brackets(template): template for template in strings(_GROUPS["train_count"])}
)
"""Template without brackets -> the same with its brackets."""

GROUP_OF: Mapping[str, str] = MappingProxyType(strings(_GROUPS["group_of_template"]))
"""Template without brackets -> its action group, one of 50 (paper, the coarse labels)."""

TEN_CLASS_OF: Mapping[str, str] = MappingProxyType(
    strings(load_packaged("ten_classes.json")["class_of_template"])
)
"""Template without brackets -> its class, one of 10; only 41 templates have one."""


@dataclass(frozen=True, slots=True)
class ContrastiveGroup:
    """Classes that are easily confused; templates that are one class here stand together."""

    classes: tuple[tuple[str, ...], ...]  # each a tuple of templates without brackets

    @property
    def categories(self) -> tuple[str, ...]:
        """Every template of the group, class by class."""
        return tuple(category for merged in self.classes for category in merged)


def _read() -> tuple[ContrastiveGroup, ...]:
    groups = load_packaged("contrastive.json")["groups"]
    assert isinstance(groups, list)
    return tuple(ContrastiveGroup(tuple(tuple(merged) for merged in group)) for group in groups)


CONTRASTIVE_GROUPS: tuple[ContrastiveGroup, ...] = _read()
"""The 69 groups, in the order of their source; three of them merge templates."""

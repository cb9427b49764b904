"""The taxonomy: every level of the label hierarchy as one lookup from a clip's category.

K categories; a level has fewer names than that, and sends each category to one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import TaxonomyError, nearest
from taskgrain.labels.ssv2 import GROUP_OF

CATEGORY = "category"  # the finest level: a category is itself
ACTION_GROUP = "action-group"  # the 50 groups of Something-Something


@dataclass(frozen=True)
class Taxonomy:
    """Categories in index order, and what each is called at every coarser level.

    `levels[level][k]` is the name of category k at that level. Built once from the training
    manifest, stored in checkpoints, never rebuilt at evaluation.
    """

    categories: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("the taxonomy names a category twice")
        for level, names in self.levels.items():
            if len(names) != len(self.categories):
                raise ValueError(
                    f"level {level!r} names {len(names)} of {len(self.categories)} categories"
                )

    def names(self, level: str) -> tuple[str, ...]:
        """Names of a level in index order: alphabetical, as the categories are."""
        if level == CATEGORY:
            return self.categories
        return tuple(sorted(set(self._level(level))))

    def index_of(self, level: str) -> NDArray[np.int64]:
        """Index at a level for each category: int64 (K,), values in 0 .. len(names(level)) - 1."""
        if level == CATEGORY:
            return np.arange(len(self.categories), dtype=np.int64)
        position = {name: index for index, name in enumerate(self.names(level))}
        return np.array([position[name] for name in self._level(level)], dtype=np.int64)

    def category_index(self, category: str) -> int:
        """Index of a category, 0 .. K - 1.

        Raises:
            TaxonomyError: if it is unknown; the text names the nearest known one.
        """
        try:
            return self._position[category]
        except KeyError:
            raise TaxonomyError(
                f"category {category!r} is not among the {len(self.categories)} of the taxonomy"
                f"{nearest(category, self.categories)}"
            ) from None

    def to_json(self) -> dict[str, object]:
        """Write as plain lists, for a checkpoint's model.json."""
        return {
            "categories": list(self.categories),
            "levels": {level: list(names) for level, names in self.levels.items()},
        }

    @classmethod
    def from_json(cls, stored: object) -> Taxonomy:
        """Read what `to_json` wrote.

        Raises:
            TaxonomyError: if it has another form.
        """
        if not isinstance(stored, dict) or not isinstance(stored.get("levels"), dict):
            raise TaxonomyError("a stored taxonomy needs the keys 'categories' and 'levels'")
        try:
            return cls(
                tuple(map(str, stored["categories"])),
                {str(k): tuple(map(str, v)) for k, v in stored["levels"].items()},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TaxonomyError(f"a stored taxonomy cannot be read: {error}") from error

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.categories)}

    def _level(self, level: str) -> tuple[str, ...]:
        if level not in self.levels:
            known = [CATEGORY, *self.levels]
            raise TaxonomyError(f"no level {level!r} in the taxonomy; it has {', '.join(known)}")
        return self.levels[level]


def taxonomy_of(categories: Iterable[str]) -> Taxonomy:
    """Build the taxonomy of a dataset's categories.

    The level "action-group" is there when every category is a Something-Something v2 template;
    otherwise only the categories themselves are known.
    """
    ordered = tuple(sorted(set(categories)))
    if ordered and all(category in GROUP_OF for category in ordered):
        return Taxonomy(ordered, {ACTION_GROUP: tuple(GROUP_OF[name] for name in ordered)})
    return Taxonomy(ordered)

"""The taxonomy: every level of the label hierarchy as one lookup from a clip's category.

K categories; a level has fewer names than that, and sends each category to one of them, or to none
where it is known for some categories only. Beside it: a level regrouped at random; how many bits a
label tells; classes in the order that a model gives them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import log2
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import MAX_PROBLEMS_SHOWN, TaxonomyError, list_problems, nearest
from taskgrain.labels.caption import CAPTION_FORMS
from taskgrain.labels.ssv2 import GROUP_OF, TEN_CLASS_OF

CATEGORY = "category"  # the finest level: a category is itself
ACTION_GROUP = "action-group"  # the 50 groups of Something-Something
TEN_CLASS = "ten-class"  # ten classes over 41 of its templates; the others are left out

_LEVEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = (CATEGORY, *CAPTION_FORMS)  # a grain is a level or a caption form: one name, one grain


@dataclass(frozen=True)
class Taxonomy:
    """Categories in index order, and what each is called at every coarser level.

    `levels[level][k]` is the name of category k at that level, or None where the level leaves the
    category out. Built once from the training manifest, stored in checkpoints, never rebuilt at
    evaluation.
    """

    categories: tuple[str, ...]
    levels: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("the taxonomy names a category twice")
        for level, names in self.levels.items():
            if len(names) != len(self.categories):
                raise ValueError(
                    f"level {level!r} names {len(names)} of {len(self.categories)} categories"
                )

    def __repr__(self) -> str:
        levels = f"; levels {', '.join(self.levels)}" if self.levels else ""
        return f"<Taxonomy of {len(self.categories)} categories{levels}>"

    def names(self, level: str) -> tuple[str, ...]:
        """Names of a level in index order: alphabetical, as the categories are."""
        if level == CATEGORY:
            return self.categories
        return tuple(sorted({name for name in self._level(level) if name is not None}))

    @property
    def fine_to_coarse(self) -> tuple[str, ...]:
        """The category and every level; finer is the level with more names, of equals the first."""
        return (CATEGORY, *sorted(self.levels, key=lambda level: -len(self.names(level))))

    def index_of(self, level: str) -> NDArray[np.int64]:
        """Index at a level for each category: int64 (K,), in 0 .. len(names(level)) - 1.

        It is -1 for a category that the level leaves out.
        """
        if level == CATEGORY:
            return np.arange(len(self.categories), dtype=np.int64)
        position: dict[str | None, int] = {n: index for index, n in enumerate(self.names(level))}
        return np.array([position.get(name, -1) for name in self._level(level)], dtype=np.int64)

    def name_of(self, category: str, level: str) -> str | None:
        """Name a category at a level; None where the level leaves it out.

        Raises:
            TaxonomyError: if either is unknown; the text names the nearest known one.
        """
        index = self.category_index(category)
        return category if level == CATEGORY else self._level(level)[index]

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

    def with_levels(self, levels: Mapping[str, Mapping[str, str]], *, where: str) -> Taxonomy:
        """Add levels of the user's own behind the existing ones.

        Args:
            levels: level -> category -> its name there; every category of the taxonomy. Others
                may be there too, as in the hierarchy of a larger dataset. They are not checked to
                nest: `hierarchy.check_nesting` does that.
            where: the file or setting they come from, for the text of an error.

        Raises:
            TaxonomyError: naming every problem, up to ten: a missing category, an empty name, a
                level that cannot have its name or that is there with other content.
        """
        problems: list[str] = []
        added: dict[str, tuple[str | None, ...]] = {}
        for level, name_of in levels.items():
            wrong = [] if (problem := level_name_problem(level)) is None else [problem]
            wrong += [f"level {level!r}: {problem}" for problem in self._misfits(name_of)]
            if not wrong:
                added[level] = tuple(name_of[category] for category in self.categories)
                if self.levels.get(level, added[level]) != added[level]:
                    wrong.append(
                        f"level {level!r} is known, with other names; call yours otherwise"
                    )
            problems += [f"{where}: {problem}" for problem in wrong]
        if problems:
            raise TaxonomyError(list_problems(problems))
        return Taxonomy(self.categories, {**self.levels, **added})

    def only(self, categories: Collection[str]) -> Taxonomy:
        """Keep only some categories, and the names that have one of them."""
        kept = [index for index, name in enumerate(self.categories) if name in categories]
        return Taxonomy(
            tuple(self.categories[index] for index in kept),
            {level: tuple(names[i] for i in kept) for level, names in self.levels.items()},
        )

    def to_json(self) -> dict[str, object]:
        """Write as plain lists, for a checkpoint's model.json."""
        return {
            "categories": list(self.categories),
            "levels": {level: list(names) for level, names in self.levels.items()},
        }

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.categories)}

    def _level(self, level: str) -> tuple[str | None, ...]:
        if level not in self.levels:
            known = [CATEGORY, *self.levels]
            raise TaxonomyError(f"no level {level!r} in the taxonomy; it has {', '.join(known)}")
        return self.levels[level]

    def _misfits(self, name_of: Mapping[str, str]) -> list[str]:
        """List categories that a level leaves out or does not name, and names of no category."""
        missing = [category for category in self.categories if category not in name_of]
        nameless = [name for name in self.categories if not name_of.get(name, "-").strip()]
        problems = [f"category {category!r} has no name" for category in nameless]
        problems += [f"category {category!r} is missing" for category in missing]
        if missing:  # a slip of the pen, perhaps: the name it was meant for is looked for
            unknown = [category for category in name_of if category not in self._position]
            problems += [
                f"category {category!r} is not among the {len(self.categories)} of the dataset"
                # Looking takes milliseconds, and ten problems are shown.
                f"{nearest(category, missing) if number < MAX_PROBLEMS_SHOWN else ''}"
                for number, category in enumerate(unknown)
            ]
        return problems


def level_name_problem(level: str) -> str | None:
    """Return why a level cannot have this name, or None where it can."""
    if level in _RESERVED:
        return f"a level cannot be called {level!r}: that name is taken; call it otherwise"
    if not _LEVEL_NAME.fullmatch(level):
        return (
            f"a level cannot be called {level!r}: expected up to 64 letters, digits, '.', '_' and "
            "'-', the first a letter or a digit"
        )
    return None


def taxonomy_of(categories: Iterable[str]) -> Taxonomy:
    """Build the taxonomy of a dataset's categories.

    The level "action-group" is there when every category is a Something-Something v2 template, and
    then "ten-class" where at least two of its ten classes occur; otherwise only the categories
    themselves are known.
    """
    ordered = tuple(sorted(set(categories)))
    if not ordered or any(category not in GROUP_OF for category in ordered):
        return Taxonomy(ordered)
    levels: dict[str, tuple[str | None, ...]] = {
        ACTION_GROUP: tuple(GROUP_OF[name] for name in ordered)
    }
    ten = tuple(TEN_CLASS_OF.get(name) for name in ordered)
    if len(set(ten) - {None}) >= 2:
        levels[TEN_CLASS] = ten
    return Taxonomy(ordered, levels)


def regrouped_level(level: str) -> str:
    """Name the level whose groups are those of another, with other categories in them."""
    return f"regrouped-{level}"


def regroup(taxonomy: Taxonomy, level: str, *, seed: int) -> Taxonomy:
    """Add a level with as many groups as another, as large, and with categories drawn at random.

    Its label tells as much about a clip as the level's (as many bits, where categories have equally
    many clips), and nothing that the categories of a group have in common. Categories that the
    level leaves out are left out here too.

    Args:
        taxonomy: of the dataset.
        level: whose groups are matched in number and size.
        seed: of the draw; the same seed, level and categories give the same groups.

    Returns:
        The taxonomy with the level `regrouped_level(level)`; its names, "group-01", "group-02" and
        so on, run from the largest group to the smallest.

    Raises:
        TaxonomyError: if the level is unknown, or there is another level of the new one's name.
    """
    name = regrouped_level(level)
    if name in taxonomy.levels:
        raise TaxonomyError(
            f"level {name!r} has the name of a random regrouping; call yours otherwise"
        )
    index_of = taxonomy.index_of(level)
    covered = np.flatnonzero(index_of >= 0)
    sizes = [size for _, size in Counter(index_of[covered].tolist()).most_common()]
    width = len(str(len(sizes)))
    names = [
        f"group-{number:0{width}d}" for number, size in enumerate(sizes, 1) for _ in range(size)
    ]
    regrouped: list[str | None] = [None] * len(index_of)
    # One order for all groups, cut by their sizes: a category is in each group with the probability
    # that the group's size has.
    drawn = np.random.default_rng(seed).permutation(covered)
    for group, category in zip(names, drawn, strict=True):
        regrouped[category] = group
    return Taxonomy(taxonomy.categories, {**taxonomy.levels, name: tuple(regrouped)})


Label = TypeVar("Label", bound=Hashable)


def entropy_bits(counts: Mapping[Label, int]) -> float:
    """Entropy of what was counted, in bits; 0 where nothing was.

    A clip whose label is a caption counts under the words (`words_as`) of its first caption, all
    of them: case and punctuation tell nothing, and no vocabulary or limit leaves a word out.

    Args:
        counts: label -> clips, each at least 1.
    """
    total = sum(counts.values())
    if not total:
        return 0.0
    # Rounding must not make it negative, nor -0.0.
    return max(0.0, log2(total) - sum(count * log2(count) for count in counts.values()) / total)


@dataclass(frozen=True, slots=True)
class NamedProbability:
    """A class and its probability by the model, 0 to 1."""

    name: str
    probability: float


Ranking = tuple[NamedProbability, ...]  # most probable first

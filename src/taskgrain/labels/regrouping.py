"""Groups without meaning: categories put at random into groups of the sizes of a level's."""

from __future__ import annotations

from collections import Counter

import numpy as np

from taskgrain.errors import TaxonomyError
from taskgrain.labels.taxonomy import Taxonomy


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
    drawn = np.random.default_rng(seed).permutation(covered)
    for group, category in zip(names, drawn, strict=True):
        regrouped[category] = group
    return Taxonomy(taxonomy.categories, {**taxonomy.levels, name: tuple(regrouped)})

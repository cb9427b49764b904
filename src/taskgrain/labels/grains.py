"""Every grain of a clip as one lookup: the levels of its taxonomy, the forms of its caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from taskgrain.errors import TaxonomyError, nearest
from taskgrain.labels.caption import CAPTION_FORMS, caption_of
from taskgrain.labels.taxonomy import CATEGORY, Taxonomy
from taskgrain.labels.template import strip_brackets


class Grains:
    """What a clip is called at every grain of a dataset."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        """Take the dataset's taxonomy."""
        self.taxonomy = taxonomy

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every grain: levels from fine to coarse, then caption forms from short to full.

        Finer is the level with more names; levels with equally many keep their order.
        """
        levels = sorted(self.taxonomy.levels, key=lambda level: -len(self.taxonomy.names(level)))
        return (CATEGORY, *levels, *CAPTION_FORMS)

    def say(self, grain: str, template: str, placeholders: Sequence[str]) -> str | None:
        """Return what a clip is called at one grain; None where the level leaves its category out.

        Args:
            grain: one of `names`.
            template: with brackets, "Pushing [something]".
            placeholders: what fills each bracket.

        Raises:
            TaxonomyError: if the grain or the category is unknown.
            ValueError: if the template has another number of brackets.
        """
        for form in CAPTION_FORMS:
            if grain == form:
                return caption_of(template, placeholders, form)
        if grain not in self._names_at:
            raise TaxonomyError(
                f"no grain {grain!r}; there are {', '.join(self.names)}{nearest(grain, self.names)}"
            )
        category = strip_brackets(template)
        if category not in self._names_at[grain]:
            return self.taxonomy.name_of(category, grain)  # raises, naming the nearest
        return self._names_at[grain][category]

    @cached_property
    def _names_at(self) -> dict[str, Mapping[str, str | None]]:
        """Each level as category -> name."""
        categories = self.taxonomy.categories
        levels = {CATEGORY: categories, **self.taxonomy.levels}
        return {level: dict(zip(categories, names, strict=True)) for level, names in levels.items()}

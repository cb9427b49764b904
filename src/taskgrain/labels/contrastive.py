"""The contrastive groups of Something-Something v2: templates that are easily taken for another.

The contrastive score is, per group, the accuracy among its clips with the logits restricted to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from taskgrain.labels.ssv2 import load_packaged


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

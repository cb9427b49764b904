"""Many scenes of a world as columns of codes: what is counted, and never drawn.

Shapes: N scenes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskgrain.tabletop.attributes import ATTRIBUTES, attributes_of
from taskgrain.tabletop.factors import OrderedDraws
from taskgrain.tabletop.scene import CATEGORIES, Scene, sample_scene
from taskgrain.tabletop.tasks import Given, Task

Codes = NDArray[np.int16]
ABSENT = -1  # the code of a scene that has no such attribute


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Scenes as codes: of templates into CATEGORIES, of attributes into their values."""

    templates: Codes  # (N,)
    attributes: dict[str, Codes]  # name -> (N,), ABSENT where a scene has none

    @classmethod
    def of(cls, scenes: Iterable[Scene]) -> Population:
        """Read scenes, one or more."""
        index = {name: code for code, name in enumerate(CATEGORIES)}
        codes = [
            {value: code for code, value in enumerate(attribute.values)}
            for attribute in ATTRIBUTES.values()
        ]
        rows = [
            [index[scene.template]]
            + [
                ABSENT if value is None else code[value]
                for code, value in zip(codes, attributes_of(scene).values(), strict=True)
            ]
            for scene in scenes
        ]
        columns = np.array(rows, np.int16).T
        return cls(columns[0], dict(zip(ATTRIBUTES, columns[1:], strict=True)))

    def meeting(self, given: Given) -> NDArray[np.bool_]:
        """Return which scenes meet a condition: bool (N,)."""
        met = np.ones(len(self.templates), np.bool_)
        for name, values in given.items():
            met &= np.isin(self.attributes[name], codes_of(name, values))
        return met

    def classes(self, task: Task) -> Codes:
        """Return each scene's class in a task: (N,), index into its classes, or ABSENT."""
        wanted = codes_of(task.attribute, task.classes)
        of_code = np.full(len(ATTRIBUTES[task.attribute].values) + 1, ABSENT, np.int16)
        of_code[wanted] = np.arange(len(wanted))
        return np.where(self.meeting(task.given), of_code[self.attributes[task.attribute]], ABSENT)


def codes_of(attribute: str, values: Iterable[str]) -> list[int]:
    """Return the codes of an attribute's values."""
    known = ATTRIBUTES[attribute].values
    return [known.index(value) for value in values]


def sample_population(
    number: int, *, seed: int, categories: Sequence[str] = CATEGORIES, shows_held_back: bool
) -> Population:
    """Draw records of the tabletop, its categories in turn, without filming any.

    Args:
        number: of scenes.
        seed: of the draws.
        categories: those that are drawn.
        shows_held_back: whether main things are of all nouns and colours, as in the target.
    """
    draws = OrderedDraws(seed)
    return Population.of(
        sample_scene(categories[index % len(categories)], draws, shows_held_back=shows_held_back)
        for index in range(number)
    )

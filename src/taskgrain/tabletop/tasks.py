"""The declared population of factor tasks: what a target of the source's look may test.

A task asks for one attribute, among two to eight of its values, where a scene meets its condition.
The population is fixed before any study: a study draws from it, and never chooses. Many scenes are
counted as columns of codes, without being drawn.

Shapes: N scenes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from taskgrain.randomness import OrderedDraws
from taskgrain.tabletop.attributes import ATTRIBUTES, SLEEVE_NAMES, Values, attributes_of
from taskgrain.tabletop.backdrop import TABLE_TEXTURES, WALLS
from taskgrain.tabletop.held_back import HELD_BACK_NOUNS, HELD_BACK_PALETTE
from taskgrain.tabletop.scene import CATEGORIES, Scene, sample_scene
from taskgrain.tabletop.shapes import PALETTE

Given = Mapping[str, tuple[str, ...]]  # attribute -> the values that a scene may have


@dataclass(frozen=True, slots=True)
class Task:
    """One task of the population."""

    name: str  # also its key in factors.jsonl
    attribute: str  # one of ATTRIBUTES
    classes: tuple[str, ...]  # two to eight of its values
    given: Given = field(default_factory=dict)

    def value_of(self, values: Values) -> str | None:
        """Return a scene's class; None where the task does not apply."""
        value = values[self.attribute]
        return value if value in self.classes and meets(values, self.given) else None


def meets(values: Values, given: Given) -> bool:
    """Whether a scene's attributes meet a condition."""
    return all(values[name] in allowed for name, allowed in given.items())


PUSHING: Given = {"verb": ("pushing",)}
POKING: Given = {"verb": ("poking",)}
PUTTING: Given = {"verb": ("putting",)}
DROPPING: Given = {"verb": ("dropping",)}
REALLY_PUTTING: Given = {"verb": ("putting",), "reality": ("real",)}
# The number of things at the start is asked only where none comes or goes: otherwise the end, which
# the template decides, would tell it.
UNCHANGED: Given = {
    "verb": ("pulling", "moving", "poking", "turning", "holding", "covering", "uncovering")
}  # as many things on the table at the end as at the start
PLACING: Given = {"verb": ("putting", "dropping"), "reality": ("real",)}


def _verbs() -> Iterator[Task]:
    verbs = ATTRIBUTES["verb"].values
    of_things = tuple(verb for verb in verbs if verb not in ("filming", "covering", "uncovering"))
    named = {
        "verb-of-eight": tuple(verb for verb in of_things if verb not in ("moving", "picking up")),
        "verb-push-pull": ("pushing", "pulling"),
        "verb-push-poke": ("pushing", "poking"),
        "verb-put-drop": ("putting", "dropping"),
        "verb-lift-pick": ("lifting", "picking up"),
        "verb-cover-uncover": ("covering", "uncovering"),
        "verb-hold-move": ("holding", "moving"),
        "verb-turn-lift": ("turning", "lifting"),
        "verb-hand-or-camera": ("moving", "filming"),
        "verb-along-the-table": ("pushing", "pulling", "poking"),
        "verb-in-the-air": ("lifting", "picking up", "holding", "turning"),
    }
    for name, classes in named.items():
        yield Task(name, "verb", classes)


def _directions() -> Iterator[Task]:
    sides = ("left", "right")
    yield Task("direction-left-right", "direction", sides)
    yield Task("direction-of-pushing", "direction", sides, PUSHING)
    yield Task("direction-of-pulling", "direction", sides, {"verb": ("pulling",)})
    yield Task("direction-up-down", "direction", ("up", "down"))
    yield Task("direction-closer-apart", "direction", ("closer", "apart"))
    towards = ("towards the camera", "away from the camera")
    yield Task("direction-towards-away", "direction", towards)
    yield Task("direction-of-filming", "direction", ("camera closer", "camera farther"))
    six = (*towards, "closer", "apart", "up", "down")
    yield Task("direction-of-moving", "direction", six, {"verb": ("moving",)})
    yield Task("direction-of-eight", "direction", (*sides, *six))


def _relations() -> Iterator[Task]:
    three = ("next to", "behind", "onto")
    yield Task("relation-of-putting", "relation", three, REALLY_PUTTING)
    yield Task("relation-of-pretending", "relation", three, {**PUTTING, "reality": ("pretended",)})
    yield Task("relation-of-dropping", "relation", (*three, "in front of"), DROPPING)
    yield Task("relation-behind-in-front", "relation", ("behind", "in front of"), DROPPING)
    yield Task("relation-behind-onto", "relation", ("behind", "onto"), PLACING)
    yield Task("relation-next-to-onto", "relation", ("next to", "onto"), PLACING)
    yield Task("relation-next-to-behind", "relation", ("next to", "behind"), PLACING)
    yield Task("relation-surface-onto", "relation", ("on a surface", "onto"), PUTTING)


def _outcomes() -> Iterator[Task]:
    pushed = ("slides far", "moves slightly", "falls off", "almost falls off")
    yield Task("outcome-of-pushing", "outcome", pushed, PUSHING)
    yield Task("outcome-falls-or-almost", "outcome", pushed[2:], PUSHING)
    yield Task("outcome-far-or-slightly", "outcome", pushed[:2], PUSHING)
    poked = ("falls over", "moves slightly", "is not touched")
    yield Task("outcome-of-poking", "outcome", poked, POKING)
    yield Task("outcome-tips-or-moves", "outcome", poked[:2], POKING)
    yield Task("outcome-of-lifting", "outcome", ("stays up", "drops down"))


def _realities() -> Iterator[Task]:
    both = ("real", "pretended")
    yield Task("reality", "reality", both)
    for name, verb in (
        ("putting", "putting"),
        ("poking", "poking"),
        ("picking", "picking up"),
        ("turning", "turning"),
    ):
        yield Task(f"reality-of-{name}", "reality", both, {"verb": (verb,)})
    for name, relation in (("behind", "behind"), ("onto", "onto"), ("next-to", "next to")):
        given = {**PUTTING, "relation": (relation,)}
        yield Task(f"reality-of-putting-{name}", "reality", both, given)


def _things() -> Iterator[Task]:
    nouns = {
        "round": ("ball", "clock", "bear", "duck"),
        "vessels": ("cup", "bottle", "teapot", "bucket"),
        "angular": ("box", "book", "house", "cone"),
        "of-eight": ("banana", "lamp", "car", "boot", "plant", "star", "hat", "box"),
        "cup-bucket": ("cup", "bucket"),
        "duck-bear": ("duck", "bear"),
        "lamp-cone": ("lamp", "cone"),
        "new-of-eight": HELD_BACK_NOUNS,
        "new-first-four": HELD_BACK_NOUNS[:4],
        "new-last-four": HELD_BACK_NOUNS[4:],
        "new-fish-snail": ("fish", "snail"),
        "new-chair-cactus": ("chair", "cactus"),
        "new-heart-crown": ("heart", "crown"),
        "new-butterfly-kite": ("butterfly", "kite"),
    }
    for name, classes in nouns.items():
        yield Task(f"noun-{name}", "noun", classes)
    new = tuple(HELD_BACK_PALETTE)
    colours = {
        "of-eight": tuple(PALETTE),
        "warm": ("red", "orange", "yellow"),
        "cold": ("green", "blue", "purple"),
        "white-black": ("white", "black"),
        "new-of-three": new,
        "new-pink-brown": new[:2],
        "new-brown-turquoise": new[1:],
    }
    for name, classes in colours.items():
        yield Task(f"colour-{name}", "colour", classes)
    yield Task("colour-of-new-things", "colour", tuple(PALETTE)[:4], {"noun": HELD_BACK_NOUNS})
    yield Task("size-of-three", "size", ("small", "medium", "big"))
    yield Task("size-small-big", "size", ("small", "big"))
    yield Task("size-of-new-things", "size", ("small", "big"), {"noun": HELD_BACK_NOUNS})


def _counts() -> Iterator[Task]:
    yield Task("count-start", "things-at-start", ("2", "3"), UNCHANGED)
    yield Task("count-end", "things-at-end", ("1", "2", "3", "4"))
    yield Task("count-end-of-putting", "things-at-end", ("2", "3", "4"), PUTTING)


def _camera_and_time() -> Iterator[Task]:
    for name, attribute, classes in (
        ("pan", "pan", ("left", "right")),
        ("pan-of-three", "pan", ("left", "steady", "right")),
        ("tilt", "tilt", ("up", "down")),
        ("tilt-of-three", "tilt", ("up", "steady", "down")),
        ("zoom", "zoom", ("in", "out")),
        ("zoom-of-three", "zoom", ("out", "steady", "in")),
        ("start", "start", ("early", "late")),
        ("finish", "finish", ("early", "late")),
        ("pace", "pace", ("quick first", "slow first")),
    ):
        yield Task(f"camera-{name}" if attribute in _CAMERA else name, attribute, classes)


def _unsaid() -> Iterator[Task]:
    for name in (
        *("unsaid-way", "hand-at-end", "height", "place", "light"),
        *("arm", "stripes", "table-edge", "brightness", "warmth"),
    ):
        yield Task(name, name, ATTRIBUTES[name].values)
    yield Task("sleeve-of-six", "sleeve", SLEEVE_NAMES)
    yield Task("sleeve-blue-red", "sleeve", SLEEVE_NAMES[:2])
    yield Task("table-of-five", "table", tuple(TABLE_TEXTURES))
    yield Task("table-wood-marble", "table", ("wood", "marble"))
    yield Task("wall-of-five", "wall", tuple(WALLS))
    yield Task("wall-bricks-window", "wall", ("bricks", "window"))


_CAMERA = ("pan", "tilt", "zoom")


TASKS: dict[str, Task] = {
    task.name: task
    for task in chain(
        *(_verbs(), _directions(), _relations(), _outcomes(), _realities()),
        *(_things(), _counts(), _camera_and_time(), _unsaid()),
    )
}
"""Name -> task, in the order of the table of docs/protocol.md."""


def asked_of(scene: Scene) -> dict[str, str | None]:
    """Return a scene's attributes, and its class in every task; None where a task does not apply.

    A task that has an attribute's name asks for all of its values, so that both are the same.
    """
    values = attributes_of(scene)
    return values | {name: task.value_of(values) for name, task in TASKS.items()}


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

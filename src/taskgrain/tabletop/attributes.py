"""The attributes of a scene: each has a few values, and is read from the scene, never judged.

Some are in its category (verb, direction, relation, outcome, reality), some by its caption
(noun, colour, size), others by no label. A continuous factor is cut into two or three values with a
gap between them, so that each can be seen; a scene in the gap has no value of that attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from taskgrain.tabletop.backdrop import TABLE_TEXTURES, WALLS
from taskgrain.tabletop.held_back import HELD_BACK_NOUNS, HELD_BACK_PALETTE
from taskgrain.tabletop.kitchen.doing import MEANINGS as KITCHEN_MEANINGS
from taskgrain.tabletop.scene import CATEGORIES, Scene
from taskgrain.tabletop.shapes import NOUNS, PALETTE, SPANS

Values = Mapping[str, str | None]
"""Attribute -> its value in one scene; None where the scene has no such attribute."""

SIDES = {-1: "left", 1: "right"}
SLEEVE_NAMES = ("blue", "red", "green", "cream", "dark", "mustard")  # as scene.SLEEVES
BOUND_ARM_VERBS = frozenset(("pushing", "pulling", "poking", "filming"))
"""Verbs whose hand comes from where the motion asks for it, or that have none."""
OPEN_ENDED = frozenset(("pushing", "pulling", "poking", "dropping", "turning", "covering"))
"""Verbs after which the hand may stay or leave, in all of their templates."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The attributes that a template determines."""

    verb: str
    direction: str | None = None  # in which the main thing, or the camera, moves
    relation: str | None = None  # of the main thing's place to the second thing
    outcome: str | None = None
    adds: int = 0  # things on the table at the end, less those at the start


def _meaning(template: str) -> Meaning:
    """Read a template; templates of one verb differ in their last words."""
    sentence = template.removeprefix("Pretending to ").lower()
    adds = 0 if template.startswith("Pretending") else 1
    for start, verb in (("put", "putting"), ("dropping", "dropping")):
        if sentence.startswith(start):
            words = ("next to", "behind", "in front of", "onto", "on a surface")
            relation = next(words for words in words if f" {words}" in sentence)
            return Meaning(verb, relation=relation, adds=adds)
    return _MEANINGS[template]


_MEANINGS: dict[str, Meaning] = {
    "Pushing something from left to right": Meaning("pushing", "right", outcome="slides far"),
    "Pushing something from right to left": Meaning("pushing", "left", outcome="slides far"),
    "Pushing something so that it slightly moves": Meaning("pushing", outcome="moves slightly"),
    "Pushing something so that it falls off the table": Meaning(
        "pushing", outcome="falls off", adds=-1
    ),
    "Pushing something so that it almost falls off but doesn't": Meaning(
        "pushing", outcome="almost falls off"
    ),
    "Pulling something from left to right": Meaning("pulling", "right"),
    "Pulling something from right to left": Meaning("pulling", "left"),
    "Lifting something up completely without letting it drop down": Meaning(
        "lifting", outcome="stays up", adds=-1
    ),
    "Lifting something up completely, then letting it drop down": Meaning(
        "lifting", outcome="drops down"
    ),
    "Moving something closer to something": Meaning("moving", "closer"),
    "Moving something away from something": Meaning("moving", "apart"),
    "Moving something towards the camera": Meaning("moving", "towards the camera"),
    "Moving something away from the camera": Meaning("moving", "away from the camera"),
    "Moving something up": Meaning("moving", "up"),
    "Moving something down": Meaning("moving", "down"),
    "Approaching something with your camera": Meaning("filming", "camera closer"),
    "Moving away from something with your camera": Meaning("filming", "camera farther"),
    "Poking something so that it falls over": Meaning("poking", outcome="falls over"),
    "Poking something so it slightly moves": Meaning("poking", outcome="moves slightly"),
    "Pretending to poke something": Meaning("poking", outcome="is not touched"),
    "Picking something up": Meaning("picking up", adds=-1),
    "Pretending to pick something up": Meaning("picking up"),
    "Covering something with something": Meaning("covering"),
    "Uncovering something": Meaning("uncovering"),
    # By itself is a relation, so that any two templates differ in an attribute.
    "Holding something": Meaning("holding", relation="by itself"),
    "Holding something behind something": Meaning("holding", relation="behind"),
    "Turning something upside down": Meaning("turning"),
    "Pretending to turn something upside down": Meaning("turning"),
}
MEANINGS: dict[str, Meaning] = {template: _meaning(template) for template in CATEGORIES}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: the values that it may take, and how it is read."""

    values: tuple[str, ...]
    read: Callable[[Scene, Meaning], str | None]


Range = tuple[float, float, str]  # the lowest and the highest number of a value, and the value


def _cut(number: float, ranges: Iterable[Range]) -> str | None:
    """Return the value whose range holds a number, its ends included; None between two ranges."""
    return next((value for low, high, value in ranges if low <= number <= high), None)


def _of_template(read: Callable[[Meaning], str | None]) -> Attribute:
    """Make an attribute that the template determines; some templates may have none."""
    values = [value for each in MEANINGS.values() if (value := read(each)) is not None]
    return Attribute(tuple(dict.fromkeys(values)), lambda scene, meaning: read(meaning))


def _of_ranges(read: Callable[[Scene], float], *ranges: Range) -> Attribute:
    """Make an attribute of a continuous factor."""
    values = tuple(value for _, _, value in ranges)
    return Attribute(values, lambda scene, meaning: _cut(read(scene), ranges))


def _reality(scene: Scene, meaning: Meaning) -> str:
    return "pretended" if scene.template.startswith("Pretending") else "real"


def _unsaid_way(scene: Scene, meaning: Meaning) -> str | None:
    """Read to which side a thing is pushed or poked, where the template leaves it open."""
    if meaning.verb not in ("pushing", "poking") or meaning.direction is not None:
        return None
    to_edge = meaning.outcome in ("falls off", "almost falls off")
    return SIDES[scene.room.edge_side if to_edge else scene.manner.direction]


def _hand(scene: Scene, meaning: Meaning) -> str | None:
    to_table = meaning.verb == "moving" and meaning.direction not in ("up", "down")
    if meaning.verb in OPEN_ENDED or to_table or meaning.outcome == "drops down":
        return "stays" if scene.manner.stays else "leaves"
    return None


def _height(scene: Scene, meaning: Meaning) -> str | None:
    if meaning.verb not in ("lifting", "dropping", "holding"):
        return None
    return _cut(scene.manner.height, ((0.0, 0.3, "low"), (0.7, 1.0, "high")))


def _zoom(scene: Scene, meaning: Meaning) -> str | None:
    if meaning.verb == "filming":  # its own zoom is larger than any drift
        return None
    return _cut(
        scene.camera.drift_zoom,
        ((-0.12, -0.06, "out"), (-0.02, 0.02, "steady"), (0.06, 0.12, "in")),
    )


def _with_hand(value: str, meaning: Meaning) -> str | None:
    return None if meaning.verb == "filming" else value


ATTRIBUTES: dict[str, Attribute] = {
    "verb": _of_template(lambda m: m.verb),
    "direction": _of_template(lambda m: m.direction),
    "relation": _of_template(lambda m: m.relation),
    "outcome": _of_template(lambda m: m.outcome),
    "reality": Attribute(("real", "pretended"), _reality),
    "noun": Attribute(NOUNS + HELD_BACK_NOUNS, lambda s, m: s.main.noun),
    "colour": Attribute((*PALETTE, *HELD_BACK_PALETTE), lambda s, m: s.main.colour),
    "size": Attribute(tuple(SPANS), lambda s, m: s.main.size),
    "things-at-start": Attribute(("2", "3"), lambda s, m: str(s.layout.clutter)),
    "things-at-end": Attribute(("1", "2", "3", "4"), lambda s, m: str(s.layout.clutter + m.adds)),
    "pan": _of_ranges(
        lambda s: s.camera.drift_x,
        *((-0.1, -0.05, "left"), (-0.02, 0.02, "steady"), (0.05, 0.1, "right")),
    ),
    "tilt": _of_ranges(
        lambda s: s.camera.drift_y,
        *((-0.07, -0.035, "up"), (-0.012, 0.012, "steady"), (0.035, 0.07, "down")),
    ),
    "zoom": Attribute(("out", "steady", "in"), _zoom),
    "start": _of_ranges(lambda s: s.manner.start, (0.0, 0.04, "early"), (0.1, 0.14, "late")),
    "finish": _of_ranges(lambda s: s.manner.finish, (0.84, 0.89, "early"), (0.95, 1.0, "late")),
    "pace": _of_ranges(
        lambda s: s.manner.pace, (0.72, 0.9, "quick first"), (1.2, 1.4, "slow first")
    ),
    "unsaid-way": Attribute(("left", "right"), _unsaid_way),
    "hand-at-end": Attribute(("stays", "leaves"), _hand),
    "height": Attribute(("low", "high"), _height),
    "place": _of_ranges(lambda s: s.layout.depth, (0.48, 0.57, "far"), (0.71, 0.8, "near")),
    "light": Attribute(("left", "right"), lambda s, m: SIDES[s.camera.light]),
    "arm": Attribute(
        ("left", "right"), lambda s, m: None if m.verb in BOUND_ARM_VERBS else SIDES[s.arm.side]
    ),
    "sleeve": Attribute(SLEEVE_NAMES, lambda s, m: _with_hand(SLEEVE_NAMES[s.arm.sleeve], m)),
    "stripes": Attribute(
        ("striped", "plain"), lambda s, m: _with_hand("striped" if s.arm.striped else "plain", m)
    ),
    "table": Attribute(tuple(TABLE_TEXTURES), lambda s, m: s.room.table),
    "table-edge": Attribute(("left", "right"), lambda s, m: SIDES[s.room.edge_side]),
    "wall": Attribute(tuple(WALLS), lambda s, m: s.room.wall),
    "brightness": _of_ranges(
        lambda s: s.camera.brightness, (0.82, 0.9, "dim"), (1.06, 1.14, "bright")
    ),
    "warmth": _of_ranges(lambda s: s.camera.warmth, (-0.1, -0.03, "cool"), (0.09, 0.16, "warm")),
}
"""Attribute -> its values and how it is read, in the order of the tables."""


def attributes_of(scene: Scene) -> dict[str, str | None]:
    """Read every attribute of a scene; None where it has none, or lies between two values."""
    meaning = MEANINGS[scene.template]
    return {name: attribute.read(scene, meaning) for name, attribute in ATTRIBUTES.items()}


def kitchen_attributes(category: str) -> dict[str, str]:
    """Return the attributes that a category of kitchenware determines and the source has too.

    The source shows neither what fails nor a tool: its labels know nothing of these values.
    """
    motion, tool = KITCHEN_MEANINGS[category]
    reality = {"using": "real", "pretending": "pretended", "failing": "failing", "other": "real"}
    attributes = {"reality": reality[motion]}
    return attributes if tool is None else {**attributes, "noun": tool}

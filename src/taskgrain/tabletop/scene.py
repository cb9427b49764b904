"""A scene of the tabletop: a frozen record of independent factors; everything else follows from it.

A clip's frames, its category and its caption are functions of its scene. A twin that differs in one
factor is made by `dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

from taskgrain.labels.ssv2 import BRACKETED, GROUP_OF
from taskgrain.labels.template import fill, placeholder_count
from taskgrain.randomness import Draws
from taskgrain.tabletop.backdrop import TABLE_COLOURS, TABLE_TEXTURES, WALL_COLOURS, WALLS, Room
from taskgrain.tabletop.held_back import HELD_BACK_NOUNS, HELD_BACK_PALETTE
from taskgrain.tabletop.programs import PROGRAMS
from taskgrain.tabletop.shapes import COVERS, NOUNS, PALETTE, SPANS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Factor = str | int | float | bool
Record = TypeVar("Record")

WORLD = "tabletop"
FEWEST_FRAMES, MOST_FRAMES = 24, 36  # 2 to 3 s at 12 frames a second
CATEGORIES: tuple[str, ...] = tuple(sorted(PROGRAMS))
"""The templates without brackets, in alphabetical order."""

SKIN_TONES = ((236, 190, 160), (214, 160, 122), (172, 118, 82), (116, 76, 54))
SLEEVES = (
    (70, 82, 120),
    (150, 62, 62),
    (86, 110, 86),
    (196, 188, 176),
    (58, 58, 64),
    (170, 140, 80),
)


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing on the table, as a placeholder names it."""

    noun: str
    colour: str
    size: str  # "small", "medium" (which no caption names) or "big"
    shade: float  # its own tone of the colour

    @property
    def text(self) -> str:
        """Return the thing as a placeholder: "a small red cup", "an orange box"."""
        words = [self.colour, self.noun]
        if self.size != "medium":
            words.insert(0, self.size)
        article = "an" if words[0][0] in "aeiou" else "a"
        return " ".join([article, *words])


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are; screen units and depths, before what the template does to them."""

    offset: float  # of the main place from the frame's middle, towards the table's edge
    depth: float  # of the main place, 0 far to 1 near
    gap: float  # free distance of the companion to the main place
    companion_depth: float  # how far the companion stands behind the main place
    rear_x: float  # place of the things in the rear, 0 to 1 over what is free
    clutter: int  # things on the table at the start


@dataclass(frozen=True, slots=True)
class Manner:
    """How the action is done, wherever the template leaves it open."""

    direction: int  # -1 leftwards, 1 rightwards
    travel: float  # 0 to 1: how far
    height: float  # 0 to 1: how high
    start: float  # share of the clip before the action
    finish: float  # share of the clip at which the action is over
    pace: float  # exponent that moves the action's moments: above 1 starts slowly
    ease: float  # 0 to 1: even speed to soft starts and stops
    stays: bool  # whether the hand stays where the action leaves it free to


@dataclass(frozen=True, slots=True)
class Arm:
    """Whose hand acts, and where it comes from."""

    side: int  # -1 from the left, 1 from the right, where the action leaves it open
    pitch: float  # degrees: how steeply the arm comes down, -20 to 60
    skin: int  # index into SKIN_TONES
    sleeve: int  # index into SLEEVES
    bare: float  # length of the bare forearm
    striped: bool
    size: float  # of the hand


@dataclass(frozen=True, slots=True)
class Camera:
    """How it was filmed."""

    zoom: float
    x: float
    y: float
    roll: float  # radians
    drift_x: float  # screen units over the clip
    drift_y: float
    drift_zoom: float  # relative, over the clip
    sway: float  # screen units
    sway_phase: float  # radians
    light: int  # -1 from the left, 1 from the right
    brightness: float
    warmth: float
    vignette: float
    grain: float
    grain_seed: int
    occluder: str  # "none", "left" or "right": something dark close to the lens


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that decides a clip; a factor can be replaced without touching another."""

    parts: ClassVar[Mapping[str, type]] = {
        **dict.fromkeys(("main", "second", "third", "fourth", "cover"), Thing),
        **{"layout": Layout, "manner": Manner, "arm": Arm, "camera": Camera, "room": Room},
    }

    template: str  # without brackets: one of CATEGORIES
    num_frames: int
    main: Thing
    second: Thing
    third: Thing
    fourth: Thing
    cover: Thing
    layout: Layout
    manner: Manner
    arm: Arm
    camera: Camera
    room: Room

    @property
    def category(self) -> str:
        """Return the category: the template without brackets."""
        return self.template

    @property
    def bracketed(self) -> str:
        """Return the template with its brackets, as Something-Something writes it."""
        return BRACKETED[self.template]

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Name the objects of the template, in its order."""
        other = self.cover if self.template.startswith("Covering") else self.second
        return (self.main.text, other.text)[: placeholder_count(self.bracketed)]

    @property
    def caption(self) -> str:
        """Return what happens: the template with its placeholders filled, lower case."""
        return fill(self.bracketed, self.placeholders)

    def to_factors(self) -> dict[str, Factor]:
        """Write every factor as a flat mapping for JSON, "motion" and "object" among them."""
        summary: dict[str, Factor] = {
            "world": WORLD,
            "motion": self.template,
            "object": self.main.noun,
            "group": GROUP_OF[self.template],
        }
        return summary | flatten(self)

    @classmethod
    def from_factors(cls, factors: Mapping[str, Factor]) -> Scene:
        """Read a scene back; other keys of a row of factors.jsonl are ignored.

        Raises:
            ValueError: if a factor is missing or unknown.
        """
        try:
            template, num_frames = str(factors["template"]), int(factors["num_frames"])
        except KeyError as error:
            raise ValueError(f"factors do not make a scene: {error} is missing") from error
        parts = {name: rebuild(make, factors, f"{name}.") for name, make in cls.parts.items()}
        return cls(template, num_frames, **parts)


# Only what happens may tell the categories apart: a linear probe finds 3.7 % of the 40 by the
# first frame, 9.5 by the last and 2 by the length (chance 2.5), and 34.5 by frame differences
# (docs/log.md, "The embedded world"). So no factor depends on the template;
# tests/tabletop/test_shortcuts.py keeps bounds on it.
def sample_scene(template: str, draws: Draws, *, shows_held_back: bool = False) -> Scene:
    """Draw a scene of a category; no factor's draw depends on another's, nor on the template.

    Args:
        template: one of CATEGORIES.
        draws: the streams of this scene.
        shows_held_back: whether the main thing may have a noun or a colour that the source world
            holds back, each as often as any other.
    """
    main = draws.within("main")
    return Scene(
        template=template,
        num_frames=sample_num_frames(draws),
        main=_sample_any_thing(main) if shows_held_back else sample_thing(main),
        second=sample_thing(draws.within("second")),
        third=sample_thing(draws.within("third"), rare=COVERS[0]),
        fourth=sample_thing(draws.within("fourth"), rare=COVERS[0]),
        cover=_sample_cover(draws.within("cover")),
        layout=sample_layout(draws.within("layout")),
        manner=_sample_manner(draws.within("manner")),
        arm=sample_arm(draws.within("arm")),
        camera=sample_camera(draws.within("camera")),
        room=sample_room(draws.within("room")),
    )


def sample_num_frames(draws: Draws) -> int:
    """Draw how long a clip is."""
    return FEWEST_FRAMES + int(draws.unit("num_frames") * (MOST_FRAMES - FEWEST_FRAMES + 1))


def sample_thing(draws: Draws, rare: str | None = None) -> Thing:
    """Draw a thing; a rare noun comes beside the usual ones."""
    noun = rare if rare and draws.chance("rare", 0.12) else draws.choice("noun", NOUNS)
    return Thing(
        noun=noun,
        colour=draws.choice("colour", tuple(PALETTE)),
        size=draws.choice("size", tuple(SPANS)),
        shade=draws.uniform("shade", 0.88, 1.12),
    )


def _sample_any_thing(draws: Draws) -> Thing:
    """Draw a thing of any noun and colour, held-back ones among them."""
    # The streams go by the factors' names: shade and size are as they would be without held-back
    # things.
    return replace(
        sample_thing(draws),
        noun=draws.choice("noun", NOUNS + HELD_BACK_NOUNS),
        colour=draws.choice("colour", (*PALETTE, *HELD_BACK_PALETTE)),
    )


def _sample_cover(draws: Draws) -> Thing:
    # A cover is as large as the thing that it covers needs, so its size is in no caption.
    return Thing(
        noun=draws.choice("noun", COVERS),
        colour=draws.choice("colour", tuple(PALETTE)),
        size="medium",
        shade=draws.uniform("shade", 0.88, 1.12),
    )


def sample_layout(draws: Draws) -> Layout:
    """Draw where things are."""
    return Layout(
        offset=draws.uniform("offset", -0.14, 0.05),
        depth=draws.uniform("depth", 0.48, 0.8),
        gap=draws.uniform("gap", 0.14, 0.28),
        companion_depth=draws.uniform("companion_depth", 0.12, 0.3),
        rear_x=draws.uniform("rear_x", 0.0, 1.0),
        clutter=3 if draws.chance("clutter", 0.35) else 2,
    )


def _sample_manner(draws: Draws) -> Manner:
    return Manner(
        direction=draws.choice("direction", (-1, 1)),
        travel=draws.uniform("travel", 0.0, 1.0),
        height=draws.uniform("height", 0.0, 1.0),
        start=draws.uniform("start", 0.0, 0.14),
        finish=draws.uniform("finish", 0.84, 1.0),
        pace=draws.uniform("pace", 0.72, 1.4),
        ease=draws.uniform("ease", 0.3, 1.0),
        stays=draws.chance("stays", 0.4),
    )


def sample_arm(draws: Draws) -> Arm:
    """Draw whose hand acts."""
    return Arm(
        side=draws.choice("side", (-1, 1)),
        pitch=draws.uniform("pitch", 0.0, 55.0),
        skin=draws.choice("skin", range(len(SKIN_TONES))),
        sleeve=draws.choice("sleeve", range(len(SLEEVES))),
        bare=draws.uniform("bare", 0.15, 1.2),
        striped=draws.chance("striped", 0.25),
        size=draws.uniform("size", 0.9, 1.12),
    )


def sample_camera(draws: Draws) -> Camera:
    """Draw how it is filmed."""
    return Camera(
        zoom=draws.uniform("zoom", 0.92, 1.2),
        x=draws.uniform("x", -0.09, 0.09),
        y=draws.uniform("y", -0.11, 0.04),
        roll=draws.uniform("roll", -0.06, 0.06),
        drift_x=draws.uniform("drift_x", -0.1, 0.1),
        drift_y=draws.uniform("drift_y", -0.07, 0.07),
        drift_zoom=draws.uniform("drift_zoom", -0.12, 0.12),
        sway=draws.uniform("sway", 0.0, 0.02),
        sway_phase=draws.uniform("sway_phase", 0.0, 6.2832),
        light=draws.choice("light", (-1, 1)),
        brightness=draws.uniform("brightness", 0.82, 1.14),
        warmth=draws.uniform("warmth", -0.1, 0.16),
        vignette=draws.uniform("vignette", 0.05, 0.35),
        grain=draws.uniform("grain", 0.5, 2.5),
        grain_seed=draws.integer("grain_seed") % 2**31,
        occluder=draws.choice("occluder", ("none", "none", "none", "none", "left", "right")),
    )


def sample_room(draws: Draws) -> Room:
    """Draw the place."""
    return Room(
        horizon=draws.uniform("horizon", -0.24, -0.1),
        edge_side=draws.choice("edge_side", (-1, 1)),
        edge=draws.uniform("edge", 0.46, 0.56),
        table=draws.choice("table", tuple(TABLE_TEXTURES)),
        table_colour=draws.choice("table_colour", range(len(TABLE_COLOURS))),
        wall=draws.choice("wall", tuple(WALLS)),
        wall_colour=draws.choice("wall_colour", range(len(WALL_COLOURS))),
        texture_seed=draws.integer("texture_seed") % 2**31,
    )


def flatten(record: DataclassInstance) -> dict[str, Factor]:
    """Write a record as one flat mapping; a sub-record's factors are named "camera.zoom"."""
    flat: dict[str, Factor] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            flat |= {f"{field.name}.{name}": inner for name, inner in flatten(value).items()}
        else:
            flat[field.name] = value
    return flat


def rebuild(make: Callable[..., Record], factors: Mapping[str, Factor], prefix: str = "") -> Record:
    """Make a record of scalars from the factors under a prefix ("camera.").

    Raises:
        ValueError: if a factor is missing or unknown.
    """
    own = {
        name.removeprefix(prefix): value
        for name, value in factors.items()
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }
    try:
        return make(**own)
    except TypeError as error:
        raise ValueError(f"factors {prefix + '*'!r} do not make a scene: {error}") from error

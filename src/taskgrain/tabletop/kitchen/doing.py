"""What is done with a tool of the kitchen, in either look: categories, and how it is done.

The factors of interest, motion and object, are independent: every tool is moved by the same
programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from taskgrain.randomness import Draws
from taskgrain.tabletop.scene import Factor, flatten, rebuild

WORLD = "kitchenware"
TOOLS = ("fork", "knife", "spoon", "tongs")
OTHER_CATEGORY = "Doing other things"

_PHRASES = {
    "using": "Using",
    "pretending": "Pretending to use",
    "failing": "Trying but failing to use",
}
_NAMES = {"fork": "a fork", "knife": "a knife", "spoon": "a spoon", "tongs": "tongs"}

FOODS = ("tomato", "cheese", "sausage", "broccoli", "dumpling", "toast")
HANDLES = ((52, 44, 44), (176, 120, 70), (176, 180, 188), (178, 46, 52), (60, 120, 150))
OTHER_ACTIONS = ("lay", "take", "wave", "turn", "slide", "tap")


@dataclass(frozen=True, slots=True)
class Doing:
    """What a scene has in either look: its factors, category and caption."""

    world: ClassVar[str]
    parts: ClassVar[Mapping[str, type]]  # the records that a look adds, by field

    motion: str  # "using", "pretending", "failing" or "other"
    tool: str  # one of TOOLS
    num_frames: int

    @property
    def category(self) -> str:
        """The category; it has no placeholders."""
        return category_of(self.motion, self.tool)

    @property
    def bracketed(self) -> str:
        """The category as a template: the same words."""
        return self.category

    @property
    def placeholders(self) -> tuple[str, ...]:
        """None: these categories have no placeholders."""
        return ()

    @property
    def caption(self) -> str:
        """The category in lower case."""
        return self.category.lower()

    def to_factors(self) -> dict[str, Factor]:
        """Write every factor as a flat mapping for JSON, "motion" and "object" among them."""
        summary: dict[str, Factor] = {
            "world": self.world,
            "object": self.tool,
            "category": self.category,
        }
        return summary | flatten(self)

    @classmethod
    def from_factors(cls, factors: Mapping[str, Factor]) -> Self:
        """Read a scene back; other keys of a row of factors.jsonl are ignored.

        Raises:
            ValueError: if a factor is missing or unknown.
        """
        try:
            motion, tool = str(factors["motion"]), str(factors["tool"])
            num_frames = int(factors["num_frames"])
        except KeyError as error:
            raise ValueError(f"factors do not make a scene: {error} is missing") from error
        parts = {name: rebuild(make, factors, f"{name}.") for name, make in cls.parts.items()}
        return cls(motion, tool, num_frames, **parts)


@dataclass(frozen=True, slots=True)
class Handling:
    """How the tool is moved, whichever tool it is."""

    variant: str  # "lift", "drag" or "strokes": the path after the contact
    other: str  # one of OTHER_ACTIONS, for clips of other things
    side: int  # -1 from the left, 1 from the right
    pitch: float  # degrees that the arm points away from the level; positive: from below
    heading: float  # degrees: direction in which the piece is to be moved
    travel: float  # 0 to 1
    slip: float  # 0 to 1: how soon a failing tool loses the piece
    start: float
    finish: float
    contact: float  # action time of the contact
    tremor: float  # screen units
    tremor_phase: float


def category_of(motion: str, tool: str) -> str:
    """Name the category of a motion with a tool."""
    if motion == "other":
        return OTHER_CATEGORY
    return f"{_PHRASES[motion]} {_NAMES[tool]}"


MEANINGS: dict[str, tuple[str, str | None]] = {
    category_of(motion, tool): (motion, tool) for motion in _PHRASES for tool in TOOLS
} | {OTHER_CATEGORY: ("other", None)}
"""Category -> motion and tool; other things are done with any tool."""

CATEGORIES: tuple[str, ...] = tuple(sorted(MEANINGS))


def sample_handling(draws: Draws) -> Handling:
    """Draw how the tool is moved."""
    return Handling(
        variant=draws.choice("variant", ("lift", "drag", "strokes")),
        other=draws.choice("other", OTHER_ACTIONS),
        side=draws.choice("side", (-1, 1)),
        pitch=draws.uniform("pitch", -10.0, 45.0),
        heading=draws.uniform("heading", -35.0, 35.0),
        travel=draws.uniform("travel", 0.0, 1.0),
        slip=draws.uniform("slip", 0.0, 1.0),
        start=draws.uniform("start", 0.0, 0.08),
        finish=draws.uniform("finish", 0.9, 1.0),
        contact=draws.uniform("contact", 0.32, 0.42),
        tremor=draws.uniform("tremor", 0.0, 0.004),
        tremor_phase=draws.uniform("tremor_phase", 0.0, 6.2832),
    )

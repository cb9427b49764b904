"""The look of a page: its colours, each named once, and the environment that it is rendered in.

Figures are drawn in the light ones, the page swaps in the dark.

Kinds of sources have hues (classification blue, captioning amber, joint green, frozen violet); the
place on the ladder within a kind is the shade. Every light colour is distinct, so that it can be
found again in a drawn figure and replaced by its CSS variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from taskgrain.config.learning import Source


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour in its light and its dark form, "#rrggbb" each."""

    light: str
    dark: str


COLOURS = {
    "paper": Colour("#fdfdfc", "#16181b"),
    "ink": Colour("#1f2328", "#e6e4df"),
    "quiet": Colour("#5c6470", "#a3a8b0"),
    "line": Colour("#d9dbde", "#363b42"),
    "control": Colour("#8a8f98", "#7d838c"),
    "classification-0": Colour("#5b93cc", "#a5c9f2"),
    "classification-1": Colour("#1d5fa8", "#5f9fe6"),
    "classification-2": Colour("#12365f", "#3d74b4"),
    "captioning-0": Colour("#c9851b", "#f3c67e"),
    "captioning-1": Colour("#925205", "#d9962f"),
    "captioning-2": Colour("#5e3503", "#a8701c"),
    "joint-0": Colour("#3f9d78", "#8fdcbb"),
    "joint-1": Colour("#14674a", "#43ad84"),
    "joint-2": Colour("#0b3f2d", "#2b7d5d"),
    "frozen-0": Colour("#8f76c4", "#c9b8f0"),
    "frozen-1": Colour("#5d3f9e", "#9d82d8"),
    "frozen-2": Colour("#38236a", "#7a5fb8"),
}
SHADES = 3


def source_kind(source: Source) -> str:
    """Return "classification", "captioning", "joint", or "frozen" where nothing is learned."""
    if source.is_frozen:
        return "frozen"
    if source.classify is not None:
        return "classification" if source.caption is None else "joint"
    return "captioning"


def source_colours(sources: tuple[Source, ...], names: tuple[str, ...]) -> dict[str, str]:
    """Return the colour name of every source; a kind's three shades repeat."""
    kinds = {source.name: source_kind(source) for source in sources}
    counts: dict[str, int] = {}
    colours = {}
    for name in names:
        kind = kinds.get(name, "classification")
        colours[name] = f"{kind}-{counts.get(kind, 0) % SHADES}"
        counts[kind] = counts.get(kind, 0) + 1
    return colours


def with_variables(svg: str) -> str:
    """Return the figure with every known colour as a CSS variable of the page."""
    names = {colour.light: name for name, colour in COLOURS.items()}
    return re.sub(
        "|".join(map(re.escape, names)), lambda found: f"var(--{names[found.group()]})", svg
    )


def variables(*, dark: bool) -> str:
    """Return the CSS declarations of all colours."""
    return "".join(
        f"--{name}:{colour.dark if dark else colour.light};" for name, colour in COLOURS.items()
    )


def page_environment(colours: Mapping[str, str]) -> Environment:
    """Return the environment that a page is rendered in, with the report's macros and style.

    Args:
        colours: the name of each source's colour.
    """
    environment = Environment(
        loader=PackageLoader("taskgrain.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "colours": colours,
        "colour_rules": Markup(f":root{{{variables(dark=False)}}}"),
        "dark_rules": Markup(f":root{{{variables(dark=True)}}}"),
        "css": Markup(template_text("report.css")),
    }
    return environment


def template_text(name: str) -> str:
    """Return a file of the templates as it stands."""
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")

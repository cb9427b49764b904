"""Figures as SVG: the same bytes every time, text as text, safe to put in a page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from taskgrain.report.palette import COLOURS, with_variables

FONTS = ["Inter", "Helvetica Neue", "Helvetica", "Arial", "DejaVu Sans"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure: its file name, its caption, a description for blind readers, and the SVG.

    `svg` stands alone on light paper; `inline` takes the page's colours and font.
    """

    name: str
    title: str
    caption: str
    alternative: str
    svg: str

    @property
    def inline(self) -> str:
        """Return the SVG element for the page: no XML prologue, its own ids, the page's colours."""
        svg = self.svg[self.svg.index("<svg") :]
        # Ids are shared by all figures of one page: each figure's get its name.
        svg = re.sub(r'\bid="', f'id="{self.name}-', svg)
        svg = re.sub(r"url\(#", f"url(#{self.name}-", svg)
        svg = re.sub(r'href="#', f'href="#{self.name}-', svg)
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = re.sub(r'^<svg ([^>]*?)width="[^"]*"', r"<svg \1", svg)
        svg = re.sub(r'^<svg ([^>]*?)height="[^"]*"', r"<svg \1", svg)
        return with_variables(svg).replace("<svg ", '<svg aria-hidden="true" ', 1)


def _settings() -> AbstractContextManager[None]:
    return matplotlib.rc_context(
        {
            "svg.fonttype": "none",  # text as text: smaller, and it can be searched
            "text.parse_math": False,  # names come from users: a dollar sign is a dollar sign
            "font.family": "DejaVu Sans",  # measured with the font that comes with matplotlib
            "font.size": 9.0,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": COLOURS["line"].light,
            "axes.labelcolor": COLOURS["quiet"].light,
            "axes.titlecolor": COLOURS["ink"].light,
            "axes.titlesize": 9.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.facecolor": "none",
            "axes.grid": False,
            "figure.facecolor": COLOURS["paper"].light,
            "text.color": COLOURS["ink"].light,
            "xtick.color": COLOURS["line"].light,
            "ytick.color": COLOURS["line"].light,
            "xtick.labelcolor": COLOURS["quiet"].light,
            "ytick.labelcolor": COLOURS["quiet"].light,
            "xtick.major.size": 3.0,
            "ytick.major.size": 0.0,
            "grid.color": COLOURS["line"].light,
            "grid.linewidth": 0.6,
        }
    )


@contextmanager
def drawing_style() -> Iterator[None]:
    """Apply the report's figure style, and silence warnings of letters that the font lacks.

    Such letters are measured as boxes here, and drawn with the reader's own fonts.
    """
    with _settings(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def to_svg(figure: Figure, *, name: str) -> str:
    """Return the figure as SVG; equal figures give equal bytes."""
    buffer = io.StringIO()
    # Matplotlib salts the ids of an SVG at random, and writes the date: both would change the
    # bytes.
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    families = ", ".join(f"'{font}'" for font in FONTS)
    return buffer.getvalue().replace("'DejaVu Sans'", f"{families}, sans-serif")


def ease(axes: Axes, *, grid: Literal["x", "y"]) -> None:
    """Hide the spine that lies across the grid, and draw the grid behind the data."""
    axes.grid(True, axis=grid, zorder=0)
    axes.set_axisbelow(True)
    axes.spines["left" if grid == "x" else "bottom"].set_visible(grid == "y")
    if grid == "y":
        axes.spines["left"].set_visible(False)
        axes.spines["bottom"].set_visible(True)

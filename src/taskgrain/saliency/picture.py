"""Draw explanations: an animated WebP of panels, each the clip under one heat map.

Shapes: T frames, H W pixels of what the model saw, h w pixels of a panel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from taskgrain.data.files import atomic_path

COLUMNS = 4
MARGIN = 14  # pixels around every panel
STRIP = 16  # pixels of height: how much evidence each frame holds
TITLE_LINES, TITLE_SIZE, WORD_SIZE, NOTE_SIZE = 2, 14, 21, 12  # sizes in pixels
LINE_HEIGHT = 1.25  # of the size of its letters
LABEL = 62  # pixels of height under a panel
SHORTEST_FRAME = 40  # milliseconds; players slow down what is shorter
GREY = 0.55  # of the colours of the clip that give way to grey, so that the heat stands out
OPACITY = 0.78  # of the heat where the evidence is greatest
PAPER, INK, QUIET, LINE = "#fdfdfc", "#1f2328", "#5c6470", "#d9dbde"
HEAT = "#d8420f"
# From no evidence to the most: the colour under each opacity.
RAMP = np.array([[255, 214, 64], [255, 150, 30], [216, 46, 15], [150, 0, 40]], np.float64)


@dataclass(frozen=True, slots=True)
class Panel:
    """One view of the clip: what is explained, a line under it, and where it is seen."""

    title: str
    note: str
    heat: NDArray[np.float32] | None  # (T, H, W), 0 to 1; None shows the clip as it is
    is_word: bool = False  # one word, written large


def write_animation(
    path: Path, frames: NDArray[np.uint8], panels: Sequence[Panel], *, frame_seconds: float
) -> None:
    """Write panels side by side as an animated WebP that repeats for ever.

    Args:
        path: of the file; replaced if it is there.
        frames: uint8 (T, h, w, 3), RGB, at the size of a panel.
        panels: at least one, in reading order.
        frame_seconds: how long each frame stands.
    """
    images = list(_drawn(frames, panels))
    with atomic_path(path) as temporary:
        images[0].save(
            temporary,
            format="WEBP",
            save_all=True,
            append_images=images[1:],
            duration=max(SHORTEST_FRAME, round(1000 * frame_seconds)),
            loop=0,
            quality=80,
            method=4,
        )


def _drawn(frames: NDArray[np.uint8], panels: Sequence[Panel]) -> Iterator[Image.Image]:
    """Draw frame after frame of the animation."""
    height, width = frames.shape[1:3]
    step_down, step_right = height + STRIP + LABEL + MARGIN, width + MARGIN
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    page = Image.new(
        "RGB", (MARGIN + columns * step_right, MARGIN + rows * step_down - MARGIN // 2), PAPER
    )
    corners = [
        (MARGIN + index % columns * step_right, MARGIN + index // columns * step_down)
        for index in range(len(panels))
    ]
    for panel, (left, top) in zip(panels, corners, strict=True):
        _write_label(ImageDraw.Draw(page), panel, (left, top + height + STRIP), width)
    for t, frame in enumerate(frames):
        image = page.copy()
        drawing = ImageDraw.Draw(image)
        for panel, (left, top) in zip(panels, corners, strict=True):
            seen = frame if panel.heat is None else heated(frame, panel.heat[t])
            image.paste(Image.fromarray(seen), (left, top))
            if panel.heat is not None:
                _draw_strip(drawing, panel.heat, t, (left, top + height), width)
        yield image


def heated(frame: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay a heat map over a frame.

    Args:
        frame: uint8 (h, w, 3), RGB.
        heat: float32 (H, W), 0 to 1; scaled to the frame.

    Returns:
        uint8 (h, w, 3): the frame paler, and the warmer the more speaks for the target.
    """
    height, width = frame.shape[:2]
    scaled = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    grey = frame.mean(axis=2, keepdims=True)
    pale = (1 - GREY) * frame + GREY * grey
    stops = np.linspace(0, 1, len(RAMP))
    colour = np.concatenate([np.interp(scaled, stops, plane) for plane in RAMP.T], axis=2)
    cover = OPACITY * scaled
    return ((1 - cover) * pale + cover * colour).round().astype(np.uint8)


def _draw_strip(
    drawing: ImageDraw.ImageDraw,
    heat: NDArray[np.float32],
    now: int,
    corner: tuple[int, int],
    width: int,
) -> None:
    """Draw the greatest evidence of every frame as a bar, and where the clip now is."""
    left, top = corner
    bottom = top + STRIP
    drawing.line((left, bottom, left + width - 1, bottom), fill=LINE)
    share = width / len(heat)
    for t, most in enumerate(heat.max(axis=(1, 2))):
        start, end = left + round(t * share), left + round((t + 1) * share) - 2
        colour = HEAT if t == now else "#e3b9a5"
        drawing.rectangle((start, bottom - 1 - round(11 * float(most)), end, bottom), fill=colour)


def _write_label(
    drawing: ImageDraw.ImageDraw, panel: Panel, corner: tuple[int, int], width: int
) -> None:
    left, top = corner[0], corner[1] + 4
    font = _font(WORD_SIZE if panel.is_word else TITLE_SIZE, bold=True)
    for line in _lines(panel.title, font, width, 1 if panel.is_word else TITLE_LINES):
        drawing.text((left, top), line, fill=INK, font=font)
        top += round(LINE_HEIGHT * font.size)
    drawing.text((left, top + 1), panel.note, fill=QUIET, font=_font(NOTE_SIZE, bold=False))


def _lines(text: str, font: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    """Break a text into lines that fit; what is too long ends in dots."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    kept = lines[:most]
    if len(lines) > most:
        kept[-1] += "…"
    return [_shortened(line, font, width) for line in kept]


def _shortened(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    end = len(line)
    while end > 1 and font.getlength(f"{line[:end]}…") > width:
        end -= 1
    return f"{line[:end]}…"


@cache
def _font(size: int, *, bold: bool) -> ImageFont.FreeTypeFont:
    """Load the font that comes with matplotlib: it has most of the world's letters."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from taskgrain.saliency.picture import Panel, _font, _lines, heated, write_animation


def test_heat_warms_a_frame_where_it_is_and_pales_the_rest() -> None:
    frame = np.full((40, 60, 3), 90, np.uint8)
    heat = np.zeros((4, 6), np.float32)
    heat[:, 3:] = 1
    seen = heated(frame, heat)
    assert seen.shape == frame.shape
    assert np.array_equal(seen[:, :20], frame[:, :20])  # grey stays as it is
    red, _, blue = seen[20, 50].tolist()
    assert red > 120 > 60 > blue
    assert np.array_equal(heated(frame, np.zeros((4, 6), np.float32)), frame)


def test_an_animation_has_every_frame_at_its_speed_and_a_panel_for_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (3, 72, 96, 3), dtype=np.uint8)
    heat = np.zeros((3, 12, 16), np.float32)
    heat[1, 6, 8] = 1
    panels = [Panel("clip.webm", "3 frames", None)]
    panels += [Panel("cup", "p 0.50", heat, is_word=True) for _ in range(4)]
    path = tmp_path / "out.webp"
    write_animation(path, frames, panels, frame_seconds=0.125)
    with Image.open(path) as image:
        images = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
        assert image.info["duration"] == 125
        assert image.info["loop"] == 0
    assert len(images) == 3
    assert images[0].size == (14 + 4 * (96 + 14), 14 + 2 * (72 + 16 + 62 + 14) - 7)
    # Of the second panel only the frame in the middle is warm.
    warmth = []
    for picture in images:
        pixels = np.asarray(picture, np.float64)[14:86, 124:220]
        warmth.append(float((pixels[36:44, 44:54, 0] - pixels[36:44, 44:54, 2]).mean()))
    assert warmth[1] > 40 + max(warmth[0], warmth[2])


def test_a_frame_of_no_length_is_shown_as_long_as_players_can(tmp_path: Path) -> None:
    frames = np.zeros((2, 20, 20, 3), np.uint8)
    frames[1] = 200
    write_animation(tmp_path / "a.webp", frames, [Panel("a", "", None)], frame_seconds=0.0)
    with Image.open(tmp_path / "a.webp") as image:
        image.seek(1)
        image.load()
        assert image.info["duration"] == 40


@pytest.mark.parametrize(
    "text",
    ["Pretending to put something behind something else on a table", "Donaudampfschifffahrt" * 3],
)
def test_a_long_title_is_broken_and_ends_in_dots(text: str) -> None:
    font = _font(14, bold=True)
    lines = _lines(text, font, 120, 2)
    assert 1 <= len(lines) <= 2
    assert lines[-1].endswith("…")
    assert all(font.getlength(line) <= 120 for line in lines)
    assert _lines("short", font, 120, 2) == ["short"]

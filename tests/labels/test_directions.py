from __future__ import annotations

import pytest

from taskgrain.labels.directions import is_understood, swap_sides


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("my left hand", "my right hand"),
        ("Left and RIGHT, left-hand", "Right and LEFT, right-hand"),
        ("leftmost cup", "rightmost cup"),
        ("moving leftwards", "moving rightwards"),
        ("wave_left", "wave_right"),
        ("a bright cup upright", "a bright cup upright"),
        ("a cleft", "a cleft"),
        ("pulling it right out", "pulling it right out"),
        ("going to the right out of view", "going to the left out of view"),
    ],
)
def test_left_and_right_change_places_and_all_else_stays(text: str, image: str) -> None:
    assert swap_sides(text) == image
    assert swap_sides(image) == text


@pytest.mark.parametrize(
    "text",
    [
        "a red cup",
        "my left hand",
        "left shoe",
        "the right side of a box",
        "top left corner",
        "from left to right",
        "sliding it left to right",
        "moving a cup to the right",
        "a cup on the left and a pen on the right",
        "from left and right",
        "my left",
        "the leftmost of the right-handed gloves",
        "something upright",
    ],
)
def test_sides_are_understood(text: str) -> None:
    assert is_understood(text)
    assert is_understood(swap_sides(text))


@pytest.mark.parametrize(
    "text",
    [
        "left over pizza",
        "leftovers",
        "what is left of the cake",
        "two cookies left",
        "a cup left on the table",
        "a right angle",
        "at right angles",
        "the right key",
        "right side up",
        "right next to a box",
        "pulling it right out",
        "turning clockwise",
        "turning anti-clockwise",
        "all right",
        "l\u0435ft hand",  # with a Cyrillic letter
        "left",
    ],
)
def test_a_left_or_right_that_may_be_no_side_is_not_understood(text: str) -> None:
    assert not is_understood(text)

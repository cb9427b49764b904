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
        "he swipes left",
        "a square goes left",
        "moving left",
        "and he turns left",
        "she is moving left",
        "a knob is turned left",
        "the hand slowly moves left",
        "a ball drifts left, then right",
        "the square turns left twice",
        "pushing it left and right",
        "moves to the left very fast",
        "the camera pans to the right slowly",
        "waves with the left",
        "a man on the left throws the ball to the man on the right",
        "by the left",
        "she is raising left hand",
        "right and left hand",
        "right hand and left hand",
        "with left hand",
        "someone's left hand",
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
        "a man left",
        "a man left shoes at the door",
        "he left hand in hand with her",
        "she left half of it",
        "this left half of it",
        "they left end to end",
        "people left side by side",
        "he came and left shoes at the door",
        "the man who came in left half of it",
        "he's left shoes at the door",
        "they left to right the boat",
        "two moves left",
        "his moves left",
        "there are turns left",
        "the person who moves left the room",
        "the game he turned left with her",
        "he moved and left",
        "moves right up",
        "goes right into the box",
        "pushes the cup right to the edge",
        "it looks right",
        "in the right",
        "to the right place",
    ],
)
def test_a_left_or_right_that_may_be_no_side_is_not_understood(text: str) -> None:
    assert not is_understood(text)


def test_words_with_marks_stay_as_they_are() -> None:
    text = "my left re\u0301sume\u0301 hand"
    assert is_understood("re\u0301sume\u0301 in my left hand")
    assert swap_sides(text) == text.replace("left", "right")

from __future__ import annotations

import pytest

from taskgrain.metrics.direction import contradict, directions_of


@pytest.mark.parametrize(
    "text",
    [
        "pushing a cup to the left",
        "moving it from left",
        "a cup left of a box",
        "left of a box",
        "the left cup",
        "his left",
        "pushing a cup left",
        "pushing a cup slightly left",
        "turning the camera left while filming a cup",
        "left hand waves",
        "the left side of a box",
        "the leftmost cup",
        "moving a cup leftwards",
    ],
)
def test_a_place_word_shows_a_side(text: str) -> None:
    mirrored = text.replace("left", "right")
    assert contradict(directions_of(text.split()), directions_of(mirrored.split()))


@pytest.mark.parametrize(
    "text",
    [
        "a man left the room",
        "a person left",
        "he left",
        "what is left of the cake",
        "nothing left",
        "two cookies left",
        "moving a cup that was left behind",
        "sliding the cup he left",
        "pulling it right out",
        "pushing a cup right away",
        "poking a cup right in the middle",
    ],
)
def test_a_verb_a_remainder_and_a_manner_are_no_side(text: str) -> None:
    said = directions_of(text.split())
    assert not contradict(said, directions_of(["to", "the", "right"]))
    assert not contradict(said, directions_of(["to", "the", "left"]))


def test_sides_are_read_in_order() -> None:
    there = directions_of(["from", "left", "to", "right"])
    back = directions_of(["from", "right", "to", "left"])
    assert contradict(there, back)
    assert not contradict(
        there, directions_of(["the", "left", "shoe", "from", "left", "to", "right"])
    )

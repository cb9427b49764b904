from __future__ import annotations

import pytest

from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.template import words_of
from taskgrain.metrics.captions import contradict, directions_of


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


@pytest.mark.parametrize(
    "text",
    [
        "turning a cup upside down",
        "turning a cup right side up",
        "tearing a sheet into two pieces",
        "tearing a sheet into small thin pieces",
        "a rope separates into three parts",
        "cutting an apple into halves",
        "he bursts into laughter",
        "putting a card face down",
        "turning a sock inside out",
        "a picture that is out of focus",
        "wiping it down",
        "wiping down",
        "cleaning up and cutting up",
        "the car slows down",
        "opening the front door",
        "taking it apart",
    ],
)
def test_an_idiom_says_no_direction(text: str) -> None:
    assert directions_of(text.split()) == {}


@pytest.mark.parametrize(
    ("text", "opposite"),
    [
        ("putting a pen into a box", "taking a pen out of a box"),
        ("moving a cup up", "moving a cup down"),
        ("moving it down", "moving it up"),
        ("cleaning a cup while moving up", "cleaning a cup while moving down"),
        ("dropping a cup in front of a box", "dropping a cup behind a box"),
        ("moving a cup to the front", "moving a cup behind"),
        ("turning it upside down and moving it up", "moving it down"),
        ("moving two things apart", "moving two things together"),
        ("putting two pieces into a box", "taking two pieces out of a box"),
        ("dropping it into a box of parts", "taking it out of a box of parts"),
    ],
)
def test_a_way_beside_an_idiom_is_still_read(text: str, opposite: str) -> None:
    assert contradict(directions_of(text.split()), directions_of(opposite.split()))


def test_no_template_of_an_idiom_has_a_direction() -> None:
    idioms = [each for each in BRACKETED if each.endswith(("upside down", "into two pieces"))]
    assert len(idioms) == 4
    for template in idioms:
        assert directions_of(words_of(template)) == {}

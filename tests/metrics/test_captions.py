from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.template import CaptionParser, ParsedCaption, words_of
from taskgrain.metrics.captions import (
    CaptionCounts,
    Captions,
    Parse,
    caption_tallies,
    contradict,
    count_clips,
    directions_of,
)

PARSE = CaptionParser(
    [
        "Pushing [something]",
        "Putting [something] on [something]",
        "Pushing [something] from left to right",
    ]
).parse
TRUE = ["pushing a cup", "putting a cup on a box", "putting a pen on a book"]


def share(name: str, counts: CaptionCounts) -> float:
    return caption_tallies([counts])[name].value


def counted(
    said: Sequence[str],
    true: Sequence[Captions],
    *,
    parse: Parse = PARSE,
    meant: Sequence[ParsedCaption | None] | None = None,
) -> CaptionCounts:
    """Add the counts of some clips up."""
    clips = count_clips(said, true, parse=parse, meant=meant)
    return CaptionCounts(*map(sum, zip(CaptionCounts(), *clips, strict=True)))


def test_shares_are_those_counted_by_hand() -> None:
    said = ["pushing a cup", "putting a cup on a book", "pushing a pen"]
    counts = counted(said, TRUE)
    assert share("exact-match", counts) == pytest.approx(1 / 3)
    assert share("template-accuracy", counts) == pytest.approx(2 / 3)
    # cup; cup and not box; pen although the template is another, and no book
    assert (counts.num_objects_right, counts.num_objects) == (3, 5)


def test_the_truth_said_back_is_right_in_everything() -> None:
    counts = counted(TRUE, TRUE)
    assert counts == CaptionCounts(3, 3, 3, 3, 5, 5, 5, num_words=15, num_true_words=15)


def test_nonsense_is_wrong_in_everything() -> None:
    counts = counted(["", "cup cup", "on on on"], TRUE)
    assert counts == CaptionCounts(3, 0, 3, 0, 5, 0, num_words=5, num_true_words=15)


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_counts_of_a_clip_do_not_depend_on_the_others(cut: int) -> None:
    said = ["pushing a cup", "pushing a cup from left to right", "putting pen on a book"]
    first = count_clips(said[:cut], TRUE[:cut], parse=PARSE)
    second = count_clips(said[cut:], TRUE[cut:], parse=PARSE)
    assert first + second == count_clips(said, TRUE, parse=PARSE)


def test_a_true_caption_that_fits_no_template_counts_for_exact_match_alone() -> None:
    odd = "something else happens"
    counts = counted([odd], [odd])
    assert counts == CaptionCounts(num_clips=1, num_exact=1, num_words=3, num_true_words=3)


def test_shares_of_nothing_are_no_number() -> None:
    nothing = counted([], [])
    assert math.isnan(share("exact-match", nothing))
    assert math.isnan(share("template-accuracy", nothing))
    assert math.isnan(share("object-accuracy", nothing))


def test_captions_and_clips_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="1 captions for 2 clips"):
        counted(["a"], ["a", "b"])


def count(said: str, *true: str) -> CaptionCounts:
    return counted([said], [true])


def test_letters_case_and_punctuation_make_no_difference() -> None:
    assert count("Pushing a cup.", "pushing a  cup").num_exact == 1


def test_a_caption_is_right_by_any_of_its_references() -> None:
    counts = count("putting a cup on a box", "pushing a cup", "putting a cup on a box")
    assert (counts.num_exact, counts.num_templates_right) == (1, 1)
    assert (counts.num_objects, counts.num_objects_right) == (2, 2)
    assert count("pushing a pen", "pushing a cup", "pushing a box").num_exact == 0


@pytest.mark.parametrize(
    ("said", "objects", "nouns", "modifiers"),
    [
        ("putting a small red cup on a box", 2, 2, 1),
        ("putting a red cup on the box", 0, 2, 0),
        ("putting a small red pen on a box", 1, 1, 1),
        ("putting a red small cup on a box", 1, 2, 0),
        ("putting cup on a big box", 0, 2, 0),
        ("pushing a small red cup", 1, 1, 1),
        ("a small red cup", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_an_object_has_a_noun_and_modifiers_which_are_right_each_by_itself(
    said: str, objects: int, nouns: int, modifiers: int
) -> None:
    counts = count(said, "putting a small red cup on a box")
    assert (counts.num_objects, counts.num_modified) == (2, 1)
    found = (counts.num_objects_right, counts.num_nouns_right, counts.num_modifiers_right)
    assert found == (objects, nouns, modifiers)
    assert share("noun-accuracy", counts) == nouns / 2
    assert share("modifier-accuracy", counts) == modifiers


def test_without_modifiers_there_is_nothing_to_score() -> None:
    counts = count("putting a cup on a box", "putting a cup on a box")
    assert math.isnan(share("modifier-accuracy", counts))


@pytest.mark.parametrize(
    ("said", "true", "is_wrong"),
    [
        ("pushing a cup from left to right", "pushing a cup from right to left", True),
        ("pushing a cup from left to right", "pushing a cup from left to right", False),
        ("pushing the left shoe from left to right", "pushing shoe from left to right", False),
        ("pushing a cup", "pushing a cup from right to left", False),
        ("moving a cup up", "moving a cup down", True),
        ("lifting a cup up then letting it drop down", "lifting a cup up", False),
        ("moving a cup away from a box", "moving a cup closer to a box", True),
        ("putting a cup in front of a box", "putting a cup behind a box", True),
        ("taking a cup out of a box", "putting a cup into a box", True),
    ],
)
def test_a_direction_is_wrong_where_the_opposite_is_said(
    said: str, true: str, is_wrong: bool
) -> None:
    counts = count(said, true)
    assert (counts.num_directed, counts.num_directions_wrong) == (1, is_wrong)


def test_a_direction_that_one_reference_allows_is_not_wrong() -> None:
    left, right = "pushing a cup to the left", "pushing a cup to the right"
    assert count(left, right, left).num_directions_wrong == 0
    assert count(left, right, "pushing a cup").num_directions_wrong == 1
    assert count(left, "pushing a cup").num_directed == 0


def test_an_unknown_word_is_counted_and_never_right() -> None:
    counts = count("pushing <unk>", "pushing unk", "pushing <unk>")
    assert (counts.num_exact, counts.num_unknown, counts.num_words) == (0, 1, 2)
    assert share("unknown-rate", counts) == 0.5


def test_lengths_are_compared_with_the_closest_reference() -> None:
    counts = count("pushing a cup", "pushing", "pushing the big cup")
    assert share("length-ratio", counts) == 0.75
    counts = count("pushing a cup", "a cup", "the big red cup")
    assert share("length-ratio", counts) == 1.5  # the shorter


def test_a_clip_needs_a_true_caption() -> None:
    with pytest.raises(ValueError, match="no true caption"):
        counted(["a"], [()])


def test_tallies_of_clips_are_the_scores_of_their_sum() -> None:
    said = ["pushing a cup from left to right", "putting a cup on a book", ""]
    clips = count_clips(said, TRUE, parse=PARSE)
    tallies = caption_tallies(clips)
    total = counted(said, TRUE)
    assert {name: tally.value for name, tally in tallies.items()} == pytest.approx(
        {
            "exact-match": total.num_exact / total.num_clips,
            "template-accuracy": total.num_templates_right / total.num_parsed,
            "object-accuracy": total.num_objects_right / total.num_objects,
            "noun-accuracy": total.num_nouns_right / total.num_objects,
            "modifier-accuracy": math.nan,  # no true caption has any
            "direction-errors": math.nan,  # nor says a direction
            "length-ratio": total.num_words / total.num_true_words,
            "unknown-rate": total.num_unknown / total.num_words,
        },
        nan_ok=True,
    )


THREE = "Putting [something], [something] and [something] on the table"
TWO = "Putting [something] and [something] on the table"
ALIKE = CaptionParser([TWO, THREE])


def test_the_annotation_says_what_a_true_caption_means() -> None:
    true = "putting a pen, a book and a cup on the table"
    meant = ALIKE.meaning(THREE, ["a pen", "a book", "a cup"])
    counts = counted([true], [true], parse=ALIKE.parse, meant=[meant])
    assert share("template-accuracy", counts) == 1.0
    assert (counts.num_objects, counts.num_objects_right) == (3, 3)
    said = "putting a pen and a book on the table"  # read as the other template
    counts = counted([said], [true], parse=ALIKE.parse, meant=[meant])
    assert share("template-accuracy", counts) == 0.0
    assert (counts.num_objects, counts.num_objects_right) == (3, 2)


def test_a_clip_stays_in_the_denominator_where_no_template_fits_its_caption() -> None:
    meant = [ParsedCaption("Pushing [something]", ("cup",)), None]
    true = ["shoving the cup", "a cat sleeps"]
    counts = counted(["pushing cup", "a cat"], true, meant=meant)
    assert (counts.num_parsed, counts.num_templates_right) == (1, 1)
    assert (counts.num_objects, counts.num_objects_right) == (1, 1)


def test_meanings_are_those_of_the_clips() -> None:
    with pytest.raises(ValueError, match="zip"):
        counted(["a"], ["a"], meant=[])


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

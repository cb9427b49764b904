from __future__ import annotations

import math

import pytest

from taskgrain.labels.template import CaptionParser
from taskgrain.metrics.captions import CaptionCounts

PARSE = CaptionParser(
    [
        "Pushing [something]",
        "Putting [something] on [something]",
        "Pushing [something] from left to right",
    ]
).parse
TRUE = ["pushing a cup", "putting a cup on a box", "putting a pen on a book"]


def test_shares_are_those_counted_by_hand() -> None:
    said = ["pushing a cup", "putting a cup on a book", "pushing a pen"]
    counts = CaptionCounts.of(said, TRUE, parse=PARSE)
    assert counts.exact_match == pytest.approx(1 / 3)
    assert counts.template_accuracy == pytest.approx(2 / 3)
    # cup; cup and not box; pen although the template is another, and no book
    assert (counts.num_objects_right, counts.num_objects) == (3, 5)


def test_the_truth_said_back_is_right_in_everything() -> None:
    counts = CaptionCounts.of(TRUE, TRUE, parse=PARSE)
    assert counts == CaptionCounts(3, 3, 3, 3, 5, 5)


def test_nonsense_is_wrong_in_everything() -> None:
    counts = CaptionCounts.of(["", "cup cup", "on on on"], TRUE, parse=PARSE)
    assert counts == CaptionCounts(3, 0, 3, 0, 5, 0)


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_counts_of_parts_add_up_to_those_of_the_whole(cut: int) -> None:
    said = ["pushing a cup", "pushing a cup from left to right", "putting pen on a book"]
    parts = [
        CaptionCounts.of(said[part], TRUE[part], parse=PARSE)
        for part in (slice(cut), slice(cut, None))
    ]
    assert sum(parts, CaptionCounts()) == CaptionCounts.of(said, TRUE, parse=PARSE)


def test_a_true_caption_that_fits_no_template_counts_for_exact_match_alone() -> None:
    odd = "something else happens"
    assert CaptionCounts.of([odd], [odd], parse=PARSE) == CaptionCounts(num_clips=1, num_exact=1)


def test_shares_of_nothing_are_no_number() -> None:
    nothing = CaptionCounts.of([], [], parse=PARSE)
    assert math.isnan(nothing.exact_match)
    assert math.isnan(nothing.template_accuracy)
    assert math.isnan(nothing.object_accuracy)


def test_captions_and_clips_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="1 captions for 2 clips"):
        CaptionCounts.of(["a"], ["a", "b"], parse=PARSE)

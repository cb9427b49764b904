from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.template import (
    CaptionParser,
    fill,
    placeholder_count,
    strip_brackets,
    words_of,
)

TEMPLATES = sorted(BRACKETED.values())


def test_filling_puts_placeholders_in_order() -> None:
    caption = fill("Putting [something] next to [something]", ["a Cup", "a box"])
    assert caption == "putting a cup next to a box"


def test_filling_with_too_few_placeholders_says_how_many_are_wanted() -> None:
    with pytest.raises(ValueError, match="has 2 placeholders, got 1"):
        fill("Putting [something] next to [something]", ["a cup"])


def test_a_placeholder_with_brackets_or_backslashes_is_taken_as_it_is() -> None:
    assert fill("Pushing [something]", [r"\1 [x]"]) == r"pushing \1 [x]"


def test_brackets_are_stripped_from_every_template() -> None:
    assert len(TEMPLATES) == 174
    for template in TEMPLATES:
        assert not set("[]") & set(strip_brackets(template))


def test_words_keep_apostrophes_and_drop_punctuation() -> None:
    assert words_of("Poking it, so it doesn\u2019t fall!") == (
        *("poking", "it", "so", "it"),
        *("doesn't", "fall"),
    )


NOUNS = st.sampled_from(["cup", "a small red box", "orange", "the blue ball", "book"])


@given(st.sampled_from(TEMPLATES), st.data())
def test_a_filled_template_is_read_back(template: str, data: st.DataObject) -> None:
    objects = [data.draw(NOUNS) for _ in range(placeholder_count(template))]
    parsed = CaptionParser(TEMPLATES).parse(fill(template, objects))
    assert parsed is not None
    assert words_of(fill(parsed.template, parsed.objects)) == words_of(fill(template, objects))


def test_the_template_with_more_words_of_its_own_wins() -> None:
    parser = CaptionParser(["Moving [something] up", "Moving [something] and [something] up"])
    parsed = parser.parse("moving a cup and a box up")
    assert parsed is not None
    assert parsed.objects == ("a cup", "a box")


def test_a_sentence_of_no_template_is_not_read() -> None:
    assert CaptionParser(["Pushing [something]"]).parse("a cat sleeps") is None
    assert CaptionParser(["Pushing [something]"]).parse("pushing") is None

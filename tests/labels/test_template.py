from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.template import (
    CaptionParser,
    fill,
    fixed_parts,
    placeholder_count,
    strip_brackets,
    words_of,
)

TEMPLATES = sorted(BRACKETED.values())
PARSER = CaptionParser(TEMPLATES)


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


@given(st.lists(st.text(max_size=6), min_size=1, max_size=4), st.data())
@settings(max_examples=80, deadline=None)
def test_filling_is_joining_the_parts_of_any_template(
    parts: list[str], data: st.DataObject
) -> None:
    parts = [part.replace("[", "").replace("]", "") for part in parts]
    template = "[x]".join(parts)
    objects = [data.draw(st.text(max_size=6)) for _ in parts[1:]]
    pieces = [piece for pair in zip(["", *objects], parts, strict=True) for piece in pair]
    assert fill(template, objects) == "".join(pieces).lower()
    assert strip_brackets(template) == "x".join(parts)
    assert placeholder_count(template) == len(objects)
    assert fixed_parts(template) == tuple(parts)


NOUNS = st.sampled_from(["cup", "a small red box", "orange", "the blue ball", "book"])


@given(st.sampled_from(TEMPLATES), st.data())
def test_a_filled_template_is_read_back(template: str, data: st.DataObject) -> None:
    objects = [data.draw(NOUNS) for _ in range(placeholder_count(template))]
    if "[number of] [something]" in template:
        objects[0] = "two"  # where one object ends and the next begins is in no word
    caption = fill(template, objects)
    parsed = PARSER.parse(caption)
    assert parsed is not None
    if parsed.template == template:
        assert list(parsed.objects) == objects
    else:  # "[something soft]" and "[something]": templates with equally many words of their own
        assert own_words(parsed.template) >= own_words(template)
        assert words_of(fill(parsed.template, parsed.objects)) == words_of(caption)


def own_words(template: str) -> int:
    return sum(len(words_of(part)) for part in fixed_parts(template))


def test_two_templates_alone_are_read_as_another() -> None:
    others = {}
    for template in TEMPLATES:
        parsed = PARSER.parse(fill(template, ["cup"] * placeholder_count(template)))
        assert parsed is not None
        if parsed.template != template:
            others[template] = parsed.template
    assert others == {  # the same words of their own, so that no parser could tell
        "Poking a hole into [something soft]": "Poking a hole into [some substance]",
        "Putting [something], [something] and [something] on the table": (
            "Putting [something] and [something] on the table"
        ),
    }


def test_the_template_with_more_words_of_its_own_wins() -> None:
    parser = CaptionParser(["Moving [something] up", "Moving [something] and [something] up"])
    parsed = parser.parse("moving a cup and a box up")
    assert parsed is not None
    assert parsed.objects == ("a cup", "a box")


def test_a_sentence_of_no_template_is_not_read() -> None:
    assert CaptionParser(["Pushing [something]"]).parse("a cat sleeps") is None
    assert CaptionParser(["Pushing [something]"]).parse("pushing") is None

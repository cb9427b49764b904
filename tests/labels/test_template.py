from __future__ import annotations

import random
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.template import (
    CaptionParser,
    ParsedCaption,
    fill,
    fixed_parts,
    placeholder_count,
    placeholder_names,
    strip_brackets,
    template_as,
    word_spans,
    words_as,
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


# Fillers without a connective of the templates ("of", "and", "on", "with", ...).
FILLERS = (
    *("cup", "a small red box", "the blue ball", "my old leather wallet", "books", "glass bottle"),
    *("something soft", "john's phone", "a ball-point pen", "iPhone 6s", "empty can", "scissors"),
)
NUMBERS = (
    *("two", "3", "15", "a few", "eleven", "nineteen", "twenty", "thirty-four", "a couple of"),
    *("many", "several", "a lot of", "lots of", "half a dozen", "a hundred", "both"),
)
SAME_WORDS = {"Poking a hole into [something soft]": "Poking a hole into [some substance]"}
"""Templates of the same words, and the one as which both are read."""


def tuples_of_fillers(template: str, number: int) -> list[list[str]]:
    """Draw what fills a template, the same in every run."""
    chance = random.Random(template)
    pools = [NUMBERS if name == "number of" else FILLERS for name in placeholder_names(template)]
    return [[chance.choice(pool) for pool in pools] for _ in range(number)]


def test_a_template_is_read_back_as_itself_whatever_fills_it() -> None:
    for template in TEMPLATES:
        for fillers in tuples_of_fillers(template, 20):
            said = tuple(" ".join(words_of(each)) for each in fillers)
            expected = ParsedCaption(SAME_WORDS.get(template, template), said)
            assert PARSER.parse(fill(template, fillers)) == expected


def test_what_no_parser_could_tell_apart_is_read_as_another() -> None:
    for template, other in SAME_WORDS.items():
        assert fill(template, ["x"]) == fill(other, ["x"])
    # A number before the object, and a list that was said without its comma.
    assert fill(ONTO, ["two cups", "a box"]) == fill(STACK, ["two", "cups", "a box"])
    assert PARSER.parse("putting two cups onto a box") == ParsedCaption(
        STACK, ("two", "cups", "a box")
    )
    assert words_of(fill(THREE, ["a pen", "a cup", "a box"])) == words_of(
        fill(TWO, ["a pen a cup", "a box"])
    )
    assert PARSER.parse("putting a pen a cup and a box on the table") == ParsedCaption(
        TWO, ("a pen a cup", "a box")
    )
    # "Some" may count things or be a part of a substance.
    assert PARSER.parse("putting some rice onto a plate") == ParsedCaption(
        ONTO, ("some rice", "a plate")
    )


@pytest.mark.parametrize(
    ("caption", "objects"),
    [
        ("putting a pen, a cup and a box on the table", ("a pen", "a cup", "a box")),
        ("Putting a pen, a cup, and a box on the table.", ("a pen", "a cup", "a box")),
        ("putting pen ,cup and box, on the table", ("pen", "cup", "box")),
    ],
)
def test_the_comma_of_a_list_is_read(caption: str, objects: tuple[str, ...]) -> None:
    assert PARSER.parse(caption) == ParsedCaption(THREE, objects)
    assert CaptionParser([THREE]).parse(caption) == ParsedCaption(THREE, objects)


def test_a_list_of_any_length_is_read_by_its_commas() -> None:
    parser = CaptionParser(["Mixing [a], [b], [c] and [d], so it foams", "Mixing [a] and [b]"])
    parsed = parser.parse("mixing the milk, two eggs, sugar and oat flour, so it foams")
    assert parsed is not None
    assert parsed.objects == ("the milk", "two eggs", "sugar", "oat flour")


def test_the_template_with_more_words_of_its_own_wins() -> None:
    parser = CaptionParser(["Moving [something] up", "Moving [something] and [something] up"])
    parsed = parser.parse("moving a cup and a box up")
    assert parsed is not None
    assert parsed.objects == ("a cup", "a box")


def test_a_sentence_of_no_template_is_not_read() -> None:
    assert CaptionParser(["Pushing [something]"]).parse("a cat sleeps") is None
    assert CaptionParser(["Pushing [something]"]).parse("pushing") is None


STACK = "Putting [number of] [something] onto [something]"
ONTO = "Putting [something] onto [something]"
THREE = "Putting [something], [something] and [something] on the table"
TWO = "Putting [something] and [something] on the table"
SOFT = "Poking a hole into [something soft]"
UNPLUG = "Plugging [something] into [something] but pulling it right out as you remove your hand"
SAID = CaptionParser(TEMPLATES, max_words=13)


@pytest.mark.parametrize(
    ("caption", "template", "objects"),
    [
        ("putting a red cup onto a box", ONTO, ("a red cup", "a box")),
        ("putting two cups onto a box", STACK, ("two", "cups", "a box")),
        ("putting a few red cups onto a box", STACK, ("a few", "red cups", "a box")),
        ("putting 3 cups onto a box", STACK, ("3", "cups", "a box")),
    ],
)
def test_a_number_is_what_tells_two_templates_apart(
    caption: str, template: str, objects: tuple[str, ...]
) -> None:
    for parser in (PARSER, SAID):
        assert parser.parse(caption) == ParsedCaption(template, objects)


def test_placeholders_of_one_word_each_are_found_where_they_fit() -> None:
    parser = CaptionParser(TEMPLATES, one_word_each=True)
    said = parser.parse("putting pen book and cup on the table")
    assert said == ParsedCaption(THREE, ("pen", "book", "cup"))
    assert parser.parse("putting a pen onto the box") == ParsedCaption(ONTO, ("a pen", "the box"))


def test_templates_with_the_same_words_have_the_name_of_the_commoner() -> None:
    counts = {SOFT: 9, "Poking a hole into [some substance]": 1}
    parser = CaptionParser(TEMPLATES, counts=counts)
    for template in counts:
        caption = fill(template, ["some foam"])
        assert parser.parse(caption) == parser.meaning(template, ["Some foam!"])
        assert parser.parse(caption) == ParsedCaption(SOFT, ("some foam",))


def test_a_caption_that_was_cut_is_compared_with_templates_cut_alike() -> None:
    whole = fill(UNPLUG, ["a cable", "a socket"])
    cut = " ".join(words_of(whole)[:13])
    assert cut.endswith("right out as you")
    expected = ParsedCaption(UNPLUG, ("a cable", "a socket"))
    assert SAID.parse(cut) == SAID.parse(whole) == expected
    assert SAID.meaning(UNPLUG, ["A cable", "a socket"]) == expected
    shorter = PARSER.parse(cut)  # it cannot know that the caption was cut
    assert shorter is not None
    assert shorter.template == "Plugging [something] into [something]"


def test_objects_that_are_cut_off_are_not_asked_for() -> None:
    nine, eleven = "a b c d e f g h i", "a b c d e f g h i j k"
    plug = "Plugging [something] into [something]"
    assert SAID.meaning(plug, [nine, "x y z"]).objects == (nine, "x y")
    assert SAID.meaning(plug, [eleven, "x y z"]).objects == (eleven,)
    assert SAID.meaning(plug, [f"{eleven} l m", "x"]).objects == (f"{eleven} l",)


@given(st.sampled_from(TEMPLATES), st.data())
@settings(max_examples=80, deadline=None)
def test_a_reading_of_a_cut_caption_begins_with_its_words(
    template: str, data: st.DataObject
) -> None:
    objects = [data.draw(NOUNS) for _ in range(placeholder_count(template))]
    said = " ".join(words_of(fill(template, objects))[:13])
    parsed, meant = SAID.parse(said), SAID.meaning(template, objects)
    assert parsed is not None
    for reading in (parsed, meant):
        missing = placeholder_count(reading.template) - len(reading.objects)
        filled = words_of(fill(reading.template, [*reading.objects, *["x"] * missing]))
        assert filled[: len(said.split())] == tuple(said.split())


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("re\u0301sume\u0301 paper", ("r\u00e9sum\u00e9", "paper")),
        ("r\u00e9sum\u00e9 paper", ("r\u00e9sum\u00e9", "paper")),
        ("\u0130stanbul!", ("i\u0307stanbul",)),
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u092a",  # "Hindi cup"
            ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0915\u092a"),
        ),
        ("l\u2019e\u0301te\u0301", ("l'\u00e9t\u00e9",)),
        ("\u0301 cup", ("cup",)),  # a mark without a letter is no word
        ("wave_left, it's 3 o'clock", ("wave", "left", "it's", "3", "o'clock")),
    ],
)
def test_marks_belong_to_their_word(caption: str, words: tuple[str, ...]) -> None:
    assert words_of(caption) == words
    assert len(word_spans(caption)) == len(words)


OLD_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


@given(st.text(st.characters(max_codepoint=0x17F), max_size=30))
@settings(max_examples=80, deadline=None)
def test_latin_words_are_those_that_stored_vocabularies_have(caption: str) -> None:
    if "\u0130" not in caption:
        assert words_of(caption) == tuple(OLD_WORD.findall(caption.lower()))


@given(st.text(max_size=20))
@settings(max_examples=80, deadline=None)
def test_words_are_split_once(caption: str) -> None:
    words = words_of(caption)
    assert words_of(" ".join(words)) == words
    assert words_of(unicodedata.normalize("NFD", caption)) == words


def test_a_caption_with_marks_is_read_back() -> None:
    parser = CaptionParser(["Pushing [something] up"])
    parsed = parser.parse("Pushing re\u0301sume\u0301s up")
    assert parsed == ParsedCaption("Pushing [something] up", ("r\u00e9sum\u00e9s",))


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        (
            "Pushing a cup, so it doesn't fall",
            ("PUSHING", "A", "CUP", "SO", "IT", "DOESNT", "FALL"),
        ),
        ("2 left-to-right cups", ("LEFTTORIGHT", "CUPS")),
        ("caf\u00e9  \u0441up", ("CAF", "UP")),  # the second word begins with a Cyrillic letter
        ("12 !", ()),
    ],
)
def test_the_papers_words_are_upper_case_letters_alone(
    caption: str, words: tuple[str, ...]
) -> None:
    assert words_as("paper", caption) == words
    assert words_as("taskgrain", caption) == words_of(caption)


@given(st.text(max_size=40))
def test_the_papers_words_are_a_text_filtered_by_its_letters(text: str) -> None:
    kept = "".join(c for c in text.upper() if c.isspace() or c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert words_as("paper", text) == tuple(kept.split())
    assert words_as("paper", " ".join(words_as("paper", text))) == words_as("paper", text)


def test_captions_in_the_papers_words_are_read_back() -> None:
    parser = CaptionParser([template_as("paper", template) for template in TEMPLATES])
    template = BRACKETED["Poking something so lightly that it doesn't or almost doesn't move"]
    said = " ".join(words_as("paper", fill(template, ["a child's cup"])))
    assert said == "POKING A CHILDS CUP SO LIGHTLY THAT IT DOESNT OR ALMOST DOESNT MOVE"
    assert parser.parse(said) == ParsedCaption(template_as("paper", template), ("a childs cup",))
    assert PARSER.parse(said) != ParsedCaption(template, ("a childs cup",))
    assert template_as("taskgrain", template) == template
    for each in TEMPLATES:
        assert placeholder_count(template_as("paper", each)) == placeholder_count(each)

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskgrain.labels.caption import (
    CAPTION_FORMS,
    SIMPLIFICATIONS,
    CaptionForm,
    caption_of,
    head_noun,
    last_word,
    latin,
)
from taskgrain.labels.template import words_of
from tests.making import PUSH


def test_each_form_says_more_than_the_one_before() -> None:
    objects = ["a cup of coffee"]
    assert [caption_of(PUSH, objects, form) for form in CAPTION_FORMS] == [
        "pushing something from left to right",
        "pushing coffee from left to right",
        "pushing cup from left to right",
        "pushing a cup of coffee from left to right",
    ]


@pytest.mark.parametrize("form", CAPTION_FORMS[1:])
def test_a_form_that_fills_the_template_needs_its_placeholders(form: CaptionForm) -> None:
    with pytest.raises(ValueError, match="has 1 placeholders, got 0"):
        caption_of(PUSH, [], form)


CYRILLIC_CUP = "\u0441u\u0440"  # "cup" but for its "u"


@pytest.mark.parametrize(
    ("placeholder", "noun"),
    [
        ("a bottle of water", "bottle"),
        ("something similar to other things that are already on the table", "something"),
        ("one of many similar things on the table", "things"),
        ("two small red cups", "cups"),
        ("cup with a lid", "cup"),
        ("the back of a chair", "back"),
        ("edge of the table", "edge"),
        ("my left hand", "hand"),
        ("John's cup", "cup"),
        ("the table\u2019s edge", "edge"),
        ("A Cup.", "cup"),
        ("(small) cup", "cup"),
        ("cup (red)", "cup"),
        ("small, red cup", "cup"),
        ("cup, which is red", "cup"),
        ("cup - red", "cup"),
        ("salt/pepper", "salt"),
        ("cup and saucer", "cup"),
        ("a red and blue ball", "ball"),
        ("orange and apple", "orange"),
        ("an orange", "orange"),
        ("orange juice", "juice"),
        ("an orange on the table", "orange"),
        ("the left of the box", "left"),
        ("a piece of plastic", "plastic"),
        ("a can of coke", "can"),
        ("remote control", "control"),
        ("cup full of water", "cup"),
        ("glass upside down", "glass"),
        ("bottle facing down", "bottle"),
        ("paper folded in half", "paper"),
        ("a silver earring on the table", "earring"),
        ("washing machine", "machine"),
        ("a hand holding a cup", "hand"),
        ("two pieces of paper", "paper"),
        ("a lot of coins", "coins"),
        ("a piece", "piece"),
        ("a piece of", "piece"),
        ("half a lemon", "lemon"),
        ("the one on the left", "one"),
        ("one more cup", "cup"),
        ("12 inch ruler", "ruler"),
        ("iphone 6", "iphone"),
        ("something soft", "something"),
        ("something stretchy", "something"),
        ("t-shirt", "shirt"),
        (f"a {CYRILLIC_CUP}", "cup"),
        ("\uff43\uff55\uff50", "cup"),  # full width
        ("cafe\u0301 table", "table"),
        ("\u0447\u0430\u0448\u043a\u0430", "\u0447\u0430\u0448\u043a\u0430"),  # a Russian cup
        ("bottle containing water", "bottle"),
        ("box containing pens", "box"),
        ("cup having water", "cup"),
        ("bag carrying books", "bag"),
        ("a man wearing a hat", "man"),
        ("man wearing hat", "man"),
        ("plate carrying fruit", "plate"),
        ("lid covering pot", "lid"),
        ("coin stuck to wall", "coin"),
        ("pens tied together", "pens"),
        ("phone charging", "phone"),
        ("phone charging cable", "cable"),
        ("cup covered", "cup"),
        ("cup covered, on a table", "cup"),
        ("covered box", "box"),
        ("oil painting", "painting"),
        ("pair of scissors", "scissors"),
        ("bunch of keys", "keys"),
        ("a sheet of paper", "paper"),
        ("a stack of sheets of paper", "paper"),
        ("slice of bread", "bread"),
        ("a deck of cards", "cards"),
        ("card deck", "deck"),
        ("sheet", "sheet"),
        ("a glass of water", "glass"),
        ("a packet of crisps", "packet"),
        ("2", "2"),
        ("two", "two"),
        ("red", "red"),
        ("...", "..."),
        (" ", " "),
        ("", ""),
    ],
)
def test_the_head_noun_is_what_a_placeholder_is_about(placeholder: str, noun: str) -> None:
    assert head_noun(placeholder) == noun


# 200 phrases written for this test, their nouns by hand; one half was held out from the rule.
PHRASES = json.loads(Path(__file__).with_name("head_nouns.json").read_text(encoding="utf-8"))
MOST_WRONG = 0.05


@pytest.mark.parametrize("held_out", [False, True])
def test_the_head_noun_is_right_where_the_last_word_is_not(held_out: bool) -> None:
    phrases = [each for each in PHRASES if each["held_out"] is held_out]
    differ = [each for each in phrases if head_noun(each["phrase"]) != last_word(each["phrase"])]
    assert len(phrases) == 100
    for chosen in (phrases, differ):
        wrong = [each for each in chosen if head_noun(each["phrase"]) != each["noun"]]
        assert len(wrong) <= MOST_WRONG * len(chosen), wrong
    assert sum(last_word(each["phrase"]) != each["noun"] for each in phrases) >= 15


@pytest.mark.parametrize(
    ("placeholder", "noun"),
    [
        ("drawing", "drawing"),
        ("drawing on paper", "drawing"),
        ("opening of a jar", "opening"),
        ("something the size of a cup", "something"),
        ("man knitting a scarf", "man"),
        ("picking up a pen", "pen"),
        ("string", "string"),
        ("pop up book", "book"),
        ("cup up on a shelf", "cup"),
        ("folded up newspaper", "newspaper"),
        ("folded up on a table", "folded"),
        ("turning on the lamp", "lamp"),
        ("t-shirt on a chair", "shirt"),
        ("mother-in-law", "mother"),
        ("pick-up", "pick"),
        ("on-off", "off"),
        ("van`s doors", "doors"),
        ("t.v.", "tv"),
        ("cup. red", "cup"),
        ("drawstring", "drawstring"),
        ("garden shed", "shed"),
        ("floor covering", "covering"),
        ("cup covering a coin", "cup"),
        ("cup 2 on a table", "cup"),
    ],
)
def test_actions_compounds_and_abbreviations_are_read(placeholder: str, noun: str) -> None:
    assert head_noun(placeholder) == noun


DETERMINERS = st.sampled_from(["", "a ", "the ", "my ", "two ", "some of the ", "3 ", "a pair of "])
ADJECTIVES = st.lists(st.sampled_from(["small ", "red ", "big, ", "plastic "]), max_size=3)
NOUNS = st.sampled_from(["cup", "Boxes", "water bottle", "mobile phone", "\u0441up", "keys"])
TAILS = st.sampled_from(
    ["", ".", " of water", " with a lid", " that is full", " on the table", " and a pen", " (old)"]
)


@given(DETERMINERS, ADJECTIVES, NOUNS, TAILS)
@settings(max_examples=60, deadline=None)
def test_what_stands_around_a_noun_is_left_out(
    determiner: str, adjectives: list[str], noun: str, tail: str
) -> None:
    alone = latin(noun).lower().split()[-1]
    assert head_noun("".join([determiner, *adjectives, noun, tail])) == alone


def test_the_last_word_is_the_paper_s_rule() -> None:
    assert last_word("a bottle of water") == "water"
    assert last_word("a cup!") == "cup"
    assert last_word("...") == "..."


WORDS = [
    "a",
    "one",
    "of",
    "sheet",
    "covered",
    "charging",
    "red",
    "and",
    ",",
    "cup",
    "piece",
    "up",
    "to",
    "'s",
    "2",
    "left",
]
PLACEHOLDERS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="ab cup'\u2019.,-(s)one of\u0441\u0130\u03a3\ufb01\u00bd", max_size=30),
    st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join),
)


@pytest.mark.parametrize("rule", SIMPLIFICATIONS)
@given(placeholder=PLACEHOLDERS)
@example(placeholder="\u0130")
@example(placeholder="\u212a\u04ba")
@example(placeholder="a\u04bb_\u0447 of")
@example(placeholder="\u1e9b\u0323")
@settings(max_examples=150, deadline=None)
def test_a_simplified_placeholder_stays_as_it_is(rule: str, placeholder: str) -> None:
    once = SIMPLIFICATIONS[rule](placeholder)
    assert SIMPLIFICATIONS[rule](once) == once
    assert bool(once) == bool(placeholder)
    if words_of(placeholder):
        assert len(words_of(once)) == 1


def test_only_letters_inside_a_latin_word_become_latin() -> None:
    russian = "\u0441\u043e\u0440"  # looks like "cop", and is a word of its own
    assert latin(f"{CYRILLIC_CUP} {russian}") == f"cup {russian}"
    assert latin("\u0447a\u0448\u043a\u0430") == "\u0447a\u0448\u043a\u0430"  # one Latin letter


@pytest.mark.parametrize("rule", SIMPLIFICATIONS)
def test_a_very_long_placeholder_takes_no_long_time(rule: str) -> None:
    assert SIMPLIFICATIONS[rule]("\u0441u" * 200_000)
    assert SIMPLIFICATIONS[rule]("a " * 100_000) == "a"
    assert SIMPLIFICATIONS[rule]("a" * 100_000 + "-b")
    assert SIMPLIFICATIONS[rule]("a." * 100_000 + "1")

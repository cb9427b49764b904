from __future__ import annotations

import random
import time

import pytest

from taskgrain.metrics.ptb import ptb_words
from tests.metrics.ptb_table import PTB_TABLE


@pytest.mark.parametrize(("sentence", "words"), PTB_TABLE)
def test_words_are_those_of_the_java_tokenizer(sentence: str, words: str) -> None:
    # A no-break space stands inside some of Java's tokens; coco-caption's scores split there.
    assert ptb_words(sentence) == tuple(words.split())


def test_a_sentence_without_marks_is_its_lower_case_words() -> None:
    assert ptb_words("Pushing a  Cup10 from left") == ("pushing", "a", "cup10", "from", "left")


def test_nothing_has_no_words() -> None:
    assert ptb_words("") == ptb_words(" . , - '' ") == ()


def test_no_sentence_is_too_odd() -> None:
    chance = random.Random(0)
    marks = "ab '\u2019.-/<>&@#$%0\t\n\u00e9\U0001f600(["
    for _ in range(2000):
        text = "".join(chance.choices(marks, k=chance.randrange(30)))
        words = ptb_words(text)
        assert all(word and word == word.lower() and not word.isspace() for word in words)


def test_time_grows_with_the_length_and_not_with_its_square() -> None:
    def seconds(text: str) -> float:
        started = time.perf_counter()
        ptb_words(text)
        return time.perf_counter() - started

    for hostile in (
        "a" * 9_000 + "'",
        "a." * 4_500 + "1",
        "a-" * 4_500,
        "<a" * 4_500,
        "1." * 4_500,
    ):
        assert seconds(hostile) < 2.0, hostile[:4]

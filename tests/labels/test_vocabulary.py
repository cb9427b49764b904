from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.labels.vocabulary import (
    BOS,
    EOS,
    MAX_TOKENS,
    UNK,
    Coverage,
    Vocabulary,
    build_vocabulary,
)

WORDS = st.lists(st.sampled_from(["push", "cup", "doesn't", "red", "zzz"]), max_size=30)


@given(WORDS)
def test_a_caption_comes_back_up_to_the_limit(words: list[str]) -> None:
    vocabulary = build_vocabulary(["push cup doesn't red zzz"])
    tokens = vocabulary.encode(" ".join(words))
    assert vocabulary.decode(tokens) == " ".join(words[: MAX_TOKENS - 1])


@given(WORDS)
def test_a_caption_has_at_most_fourteen_tokens_with_its_end(words: list[str]) -> None:
    tokens = build_vocabulary(["push"]).encode(" ".join(words))
    assert tokens[0] == BOS
    assert tokens[-1] == EOS
    assert len(tokens) - 1 <= MAX_TOKENS == 14


def test_a_word_never_seen_is_unknown() -> None:
    vocabulary = Vocabulary(("cup",))
    assert vocabulary.encode("cup mug") == (BOS, 4, UNK, EOS)
    assert vocabulary.decode(vocabulary.encode("cup mug")) == "cup <unk>"


def test_rare_words_are_left_out_by_the_threshold() -> None:
    captions = ["cup cup box", "cup box", "ball"]
    assert build_vocabulary(captions, min_count=2).words == ("box", "cup")


CAPTIONS = st.lists(
    st.lists(st.sampled_from(["push", "cup", "red", "zzz"]), max_size=20).map(" ".join), max_size=6
)


@pytest.mark.slow
@given(CAPTIONS, CAPTIONS)
def test_coverage_of_parts_adds_up(some: list[str], others: list[str]) -> None:
    vocabulary = build_vocabulary(["push cup"])
    together = vocabulary.coverage([*some, *others])
    assert vocabulary.coverage(some) + vocabulary.coverage(others) == together


@pytest.mark.slow
@given(CAPTIONS, st.integers(1, 3))
def test_coverage_counts_what_encoding_does(captions: list[str], min_count: int) -> None:
    vocabulary = build_vocabulary(captions, min_count=min_count)
    counted = vocabulary.coverage(captions)
    tokens = [vocabulary.encode(caption) for caption in captions]
    assert counted.num_tokens == sum(len(encoded) - 2 for encoded in tokens)
    assert counted.num_unknown == sum(encoded.count(UNK) for encoded in tokens)
    whole = [vocabulary.decode(t) == caption for t, caption in zip(tokens, captions, strict=True)]
    assert (counted.num_whole, counted.num_captions) == (sum(whole), len(captions))
    if min_count == 1:
        assert counted.num_whole + counted.num_cut == counted.num_captions


def test_coverage_of_words_and_of_captions() -> None:
    counted = Vocabulary(("cup", "push")).coverage(["push cup", "push mug", "cup " * 14])
    assert counted == Coverage(
        num_tokens=2 + 2 + 13, num_unknown=1, num_captions=3, num_whole=1, num_cut=1
    )
    assert counted.unknown_rate == pytest.approx(1 / 17)
    assert counted.coverage == pytest.approx(1 / 3)
    assert math.isnan(Coverage().unknown_rate)
    assert math.isnan(Coverage().coverage)


@given(st.lists(st.text(max_size=30), max_size=6), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_a_vocabulary_is_stable_under_its_own_words(captions: list[str], min_count: int) -> None:
    vocabulary = build_vocabulary(captions, min_count=min_count)
    assert list(vocabulary.words) == sorted(set(vocabulary.words))
    assert build_vocabulary(vocabulary.words) == vocabulary
    assert build_vocabulary(reversed(captions), min_count=min_count) == vocabulary


def test_nothing_after_the_end_is_said() -> None:
    vocabulary = Vocabulary(("cup",))
    assert vocabulary.decode([BOS, 4, EOS, 4, 4]) == "cup"


def test_the_papers_vocabulary_is_that_of_its_words() -> None:
    captions = ["Pushing 2 cups", "it doesn't push cups"]
    vocabulary = build_vocabulary(captions, rule="paper")
    assert vocabulary.words == ("CUPS", "DOESNT", "IT", "PUSH", "PUSHING")
    assert (
        vocabulary.decode(vocabulary.encode("It doesn't, push. 3 mugs")) == "IT DOESNT PUSH <unk>"
    )
    assert build_vocabulary(captions, rule="paper", min_count=2).words == ("CUPS",)
    assert vocabulary.coverage(captions).unknown_rate == 0.0
    assert build_vocabulary(captions).coverage(captions).coverage == 1.0
    assert vocabulary != Vocabulary(vocabulary.words)


def test_a_word_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="the vocabulary has 'cup' twice"):
        Vocabulary(("cup", "mug", "cup"))

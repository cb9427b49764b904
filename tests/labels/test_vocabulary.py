from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskgrain.labels.vocabulary import (
    BOS,
    EOS,
    MAX_TOKENS,
    UNK,
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


def test_nothing_after_the_end_is_said() -> None:
    vocabulary = Vocabulary(("cup",))
    assert vocabulary.decode([BOS, 4, EOS, 4, 4]) == "cup"

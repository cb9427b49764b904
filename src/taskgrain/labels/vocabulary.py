"""The vocabulary: words to token indices and back.

L tokens a caption: BOS, at most `MAX_TOKENS` tokens including EOS, then PAD.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from taskgrain.labels.template import Words, words_as

# These numbers are stored: they are the first rows of a checkpoint's embedding.
PAD, BOS, EOS, UNK = range(4)
SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")
# Words and EOS; the paper's fixed length, BOS not counted. (The authors' code: at most 12 and EOS.)
MAX_TOKENS = 14
MAX_BEAMS = 64  # beginnings of a caption that may be followed side by side


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of some captions a vocabulary covers: counts, so that parts add up."""

    num_tokens: int = 0  # words within the limit of a caption, EOS not counted
    num_unknown: int = 0  # of those, words that the vocabulary lacks
    num_captions: int = 0
    num_whole: int = 0  # captions of known words alone, none of them cut off
    num_cut: int = 0  # captions longer than the limit

    def __add__(self, other: Coverage) -> Coverage:
        """Cover both."""
        return Coverage(
            self.num_tokens + other.num_tokens,
            self.num_unknown + other.num_unknown,
            self.num_captions + other.num_captions,
            self.num_whole + other.num_whole,
            self.num_cut + other.num_cut,
        )

    @property
    def unknown_rate(self) -> float:
        """Share of the words that are unknown, 0 to 1; NaN where there is no word."""
        return self.num_unknown / self.num_tokens if self.num_tokens else math.nan

    @property
    def coverage(self) -> float:
        """Share of the captions that are covered whole, 0 to 1; NaN without captions."""
        return self.num_whole / self.num_captions if self.num_captions else math.nan


@dataclass(frozen=True)
class Vocabulary:
    """The V words that captions are made of; built from training captions, kept for ever."""

    words: tuple[str, ...]  # without the four specials, alphabetical
    rule: Words = "taskgrain"  # that made them of captions

    def __post_init__(self) -> None:
        """Refuse a word with two indices."""
        if len(self._index) != len(self.words):
            twice = next(word for word, n in Counter(self.words).items() if n > 1)
            raise ValueError(f"the vocabulary has {twice!r} twice; expected every word once")

    def __repr__(self) -> str:
        return f"<Vocabulary of {len(self.words)} words by the rule {self.rule!r}>"

    def __len__(self) -> int:
        return len(SPECIALS) + len(self.words)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words, start=len(SPECIALS))}

    def encode(self, caption: str) -> tuple[int, ...]:
        """Turn a caption into BOS, its words, EOS; a longer one loses its last words, not EOS."""
        words = words_as(self.rule, caption)[: MAX_TOKENS - 1]
        return (BOS, *(self._index.get(word, UNK) for word in words), EOS)

    def decode(self, tokens: Sequence[int]) -> str:
        """Turn tokens into a caption: up to the first EOS, without BOS and PAD."""
        words: list[str] = []
        for token in tokens:
            if token == EOS:
                break
            if token == UNK:
                words.append(SPECIALS[UNK])
            elif token >= len(SPECIALS):
                words.append(self.words[token - len(SPECIALS)])
        return " ".join(words)

    def coverage(self, captions: Iterable[str]) -> Coverage:
        """Count how much of these captions the vocabulary covers."""
        num_tokens = num_unknown = num_captions = num_whole = num_cut = 0
        for caption in captions:
            words = words_as(self.rule, caption)
            kept = words[: MAX_TOKENS - 1]
            unknown = sum(word not in self._index for word in kept)
            num_captions += 1
            num_tokens += len(kept)
            num_unknown += unknown
            num_cut += len(words) > len(kept)
            num_whole += unknown == 0 and len(words) == len(kept)
        return Coverage(num_tokens, num_unknown, num_captions, num_whole, num_cut)


def build_vocabulary(
    captions: Iterable[str], *, min_count: int = 1, rule: Words = "taskgrain"
) -> Vocabulary:
    """Collect the words seen at least `min_count` times in the training captions."""
    counts = Counter(word for caption in captions for word in words_as(rule, caption))
    return Vocabulary(tuple(sorted(word for word, n in counts.items() if n >= min_count)), rule)

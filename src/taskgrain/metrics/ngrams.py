"""Candidates and references as numbers: their words, their n-grams, and how often each occurs.

Shapes: N clips, one candidate each; M references of all clips together; W words of all captions;
R pairs of a caption and an n-gram that it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

MAX_ORDER = 4  # the longest n-grams that BLEU and CIDEr look at

IntArray = NDArray[np.int64]
Tokens = Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class NgramCounts:
    """How often each caption holds each n-gram of one order; by caption, then by n-gram."""

    caption: IntArray  # (R,)
    ngram: IntArray  # (R,), below the number of distinct ones
    count: IntArray  # (R,), 1 or more


@dataclass(frozen=True, slots=True, eq=False)
class OrderCounts:
    """The n-grams of one order, counted in the candidates and in the references."""

    num_ngrams: int  # distinct ones
    candidate: NgramCounts
    reference: NgramCounts


class TokenPairs:
    """What was said of N clips beside what is so, counted once for every score."""

    def __init__(
        self, candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
    ) -> None:
        """Take the words of both.

        Args:
            candidates: the words of one caption a clip; none is an empty caption.
            references: the words of one or more captions a clip, in the same order.

        Raises:
            ValueError: if there are not as many of both, or a clip has no reference.
        """
        if len(candidates) != len(references):
            raise ValueError(
                f"{len(candidates)} candidates for the references of {len(references)} clips"
            )
        if not all(references):
            empty = next(index for index, captions in enumerate(references) if not captions)
            raise ValueError(f"clip {empty} has no reference; expected one or more")
        num_references = np.fromiter(map(len, references), np.int64, len(references))
        captions = [*candidates, *chain.from_iterable(references)]
        self.num_clips = len(candidates)
        self.clip_of: IntArray = np.repeat(np.arange(self.num_clips), num_references)  # (M,)
        self.first_reference: IntArray = np.cumsum(num_references) - num_references  # (N,)
        lengths = np.fromiter(map(len, captions), np.int64, len(captions))
        self._lengths = lengths  # (N + M,)
        words = list(chain.from_iterable(captions))
        index = {word: number for number, word in enumerate(dict.fromkeys(words))}
        self._words: IntArray = np.fromiter(map(index.__getitem__, words), np.int64, len(words))
        self._num_words = len(index)
        # The same captions, with the words that hold a space split there: "1\u00a01/2" of PTB.
        self.at_spaces = self
        if any(len(word.split()) > 1 for word in index if not word.isascii()):
            self.at_spaces = TokenPairs(
                [_at_spaces(words) for words in candidates],
                [[_at_spaces(words) for words in clip] for clip in references],
            )

    @property
    def candidate_lengths(self) -> IntArray:
        """Words of each candidate: int64 (N,)."""
        return self._lengths[: self.num_clips]

    @property
    def reference_lengths(self) -> IntArray:
        """Words of each reference: int64 (M,)."""
        return self._lengths[self.num_clips :]

    @cached_property
    def starts(self) -> IntArray:
        """Where the words of each caption begin, candidates first: int64 (N + M,)."""
        return np.cumsum(self._lengths) - self._lengths

    @property
    def words(self) -> IntArray:
        """The words of all captions, one caption after the other: int64 (W,)."""
        return self._words

    @cached_property
    def orders(self) -> tuple[OrderCounts, ...]:
        """The counts of n-grams of 1, 2, 3, 4 words."""
        caption = np.repeat(np.arange(len(self._lengths)), self._lengths)  # (W,)
        # Words from each position to the end of its caption, its own counted.
        left = np.repeat(self.starts + self._lengths, self._lengths) - np.arange(len(self._words))
        code, num_codes, counted = self._words, self._num_words, []
        for order in range(1, MAX_ORDER + 1):
            positions = np.flatnonzero(left >= order)
            if order > 1:
                pairs = code[positions] * self._num_words + self._words[positions + order - 1]
                distinct, numbers = np.unique(pairs, return_inverse=True)
                code = np.zeros_like(self._words)
                code[positions], num_codes = numbers, len(distinct)
            counted.append(self._count(caption[positions], code[positions], num_codes))
        return tuple(counted)

    def _count(self, caption: IntArray, ngram: IntArray, num_ngrams: int) -> OrderCounts:
        size = max(num_ngrams, 1)
        pairs, count = np.unique(caption * size + ngram, return_counts=True)
        caption, ngram = np.divmod(pairs, size)
        cut = int(np.searchsorted(caption, self.num_clips))  # candidates stand before references
        return OrderCounts(
            num_ngrams,
            NgramCounts(caption[:cut], ngram[:cut], count[:cut]),
            NgramCounts(caption[cut:] - self.num_clips, ngram[cut:], count[cut:]),
        )


def positions_in(keys: IntArray, wanted: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """Find keys among others that are sorted.

    Args:
        keys: int64 (R,), ascending, each once.
        wanted: int64 (Q,).

    Returns:
        int64 (Q,) positions in `keys`, and bool (Q,) whether the key is there at all.
    """
    if len(keys) == 0:
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    positions = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return positions, keys[positions] == wanted


def distinct(keys: IntArray) -> IntArray:
    """Return each of int64 (R,) keys once, ascending; quickly where they nearly ascend already."""
    ordered = np.sort(keys, kind="stable")
    return ordered[np.diff(ordered, prepend=-1) != 0]


def _at_spaces(words: Tokens) -> list[str]:
    return " ".join(words).split()

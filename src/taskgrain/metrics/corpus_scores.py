"""BLEU, ROUGE-L and CIDEr-D as coco-caption computes them, from words and n-grams as numbers.

BLEU (Papineni et al. 2002) is pooled: the clipped counts and the lengths of all clips are summed
before anything is divided; the reference length of a clip is that closest to the candidate's, the
shorter of two as close; nothing is smoothed beyond coco-caption's tiny constants.

ROUGE-L (Lin 2004) is the longest common subsequence of words, with beta 1.2; the best precision and
the best recall over a clip's references are taken separately, and the score of the clips is their
mean.

CIDEr-D (Vedantam et al. 2015): n = 1 to 4, clipped, sigma 6, times 10; the rarity (idf) of an
n-gram is taken from the references that are scored. So one clip, or equal references, give 0 for
any caption.

Shapes: N clips, one candidate each; M references of all clips together; W words of all captions;
L words of a caption; P pairs of a candidate and a reference; R pairs of a caption and an n-gram
that it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from taskgrain.metrics.tally import FloatArray, Formula, Tally, mean_of

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
    """The predicted captions of N clips and their references, counted once for all scores."""

    def __init__(
        self, candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
    ) -> None:
        """Count the words of candidates and references.

        Args:
            candidates: the words of one caption a clip; an empty caption has none.
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
        # The words of all captions, one caption after the other: (W,).
        self.words: IntArray = np.fromiter(map(index.__getitem__, words), np.int64, len(words))
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

    # An n-gram is written as one number: its first n - 1 words are an n-gram whose number is known,
    # and number * (distinct words) + last word tells all n-grams apart. They are numbered anew at
    # every order, from 0 on, so that the product never leaves 64 bits.
    @cached_property
    def orders(self) -> tuple[OrderCounts, ...]:
        """The counts of n-grams of 1, 2, 3, 4 words."""
        caption = np.repeat(np.arange(len(self._lengths)), self._lengths)  # (W,)
        # Words from each position to the end of its caption, its own counted.
        left = np.repeat(self.starts + self._lengths, self._lengths) - np.arange(len(self.words))
        code, num_codes, counted = self.words, self._num_words, []
        for order in range(1, MAX_ORDER + 1):
            positions = np.flatnonzero(left >= order)
            if order > 1:
                pairs = code[positions] * self._num_words + self.words[positions + order - 1]
                of_order, numbers = np.unique(pairs, return_inverse=True)
                code = np.zeros_like(self.words)
                code[positions], num_codes = numbers, len(of_order)
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


# coco-caption's own: they keep a score of nothing at nearly 0 instead of an error.
_TINY, _SMALL = 1e-15, 1e-9
_GUESSED, _LENGTH, _REFERENCE_LENGTH = MAX_ORDER, 2 * MAX_ORDER, 2 * MAX_ORDER + 1


def bleu(pairs: TokenPairs) -> tuple[Tally, ...]:
    """Tally BLEU-1, BLEU-2, BLEU-3 and BLEU-4.

    The counts of a clip are its n-grams that a reference holds too (no more of each than in the
    reference that has most), for n = 1 to 4; its n-grams, for n = 1 to 4; its words; the words of
    the closest reference. An empty caption counts 0 right of 0, and its
    reference adds to the reference length.
    A word with a space inside is several, as in coco-caption.
    """
    pairs = pairs.at_spaces
    lengths = pairs.candidate_lengths
    counts = np.zeros((pairs.num_clips, 2 * MAX_ORDER + 2))
    for index, order in enumerate(pairs.orders):
        counts[:, index] = _num_clipped(pairs, order)
        counts[:, _GUESSED + index] = np.maximum(lengths - index, 0)
    counts[:, _LENGTH] = lengths
    counts[:, _REFERENCE_LENGTH] = closest_lengths(pairs)
    return tuple(Tally(counts, formula) for formula in _FORMULAS)


def closest_lengths(pairs: TokenPairs) -> FloatArray:
    """Return the length of each clip's reference closest to its candidate's: float64 (N,)."""
    if pairs.num_clips == 0:
        return np.zeros(0)
    lengths = pairs.reference_lengths
    distance = np.abs(lengths - pairs.candidate_lengths[pairs.clip_of])
    size = int(lengths.max()) + 1
    # The least of (distance, length), written as one number.
    least = np.minimum.reduceat(distance * size + lengths, pairs.first_reference)
    return (least % size).astype(np.float64)


def _num_clipped(pairs: TokenPairs, order: OrderCounts) -> FloatArray:
    size = max(order.num_ngrams, 1)
    keys, most = _most_in_a_reference(pairs, order.reference, size)
    candidate = order.candidate
    positions, is_there = positions_in(keys, candidate.caption * size + candidate.ngram)
    right = np.minimum(candidate.count[is_there], most[positions[is_there]])
    clipped = np.bincount(candidate.caption[is_there], right, pairs.num_clips)
    return clipped.astype(np.float64)


def _most_in_a_reference(
    pairs: TokenPairs, reference: NgramCounts, size: int
) -> tuple[IntArray, IntArray]:
    """Return the keys of (clip, n-gram), ascending, and the most that a reference has of each."""
    keys = pairs.clip_of[reference.caption] * size + reference.ngram
    if len(keys) == 0:
        return keys, reference.count
    by_key = np.argsort(keys, kind="stable")
    keys, counts = keys[by_key], reference.count[by_key]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[starts], np.maximum.reduceat(counts, starts)


def _formula(order: int) -> Formula:
    def score(totals: FloatArray) -> FloatArray:
        right, guessed = totals[..., :order], totals[..., _GUESSED : _GUESSED + order]
        precision = ((right + _TINY) / (guessed + _SMALL)).prod(axis=-1) ** (1.0 / order)
        length, expected = totals[..., _LENGTH], totals[..., _REFERENCE_LENGTH]
        shortness = (length + _TINY) / (expected + _SMALL)
        return precision * np.exp(np.minimum(1.0 - 1.0 / shortness, 0.0))

    return score


_FORMULAS = tuple(_formula(order) for order in range(1, MAX_ORDER + 1))


_BETA = 1.2
_MAX_CELLS = 1 << 20  # of the table that is filled for some pairs at once


def rouge_l(pairs: TokenPairs) -> Tally:
    """Tally ROUGE-L. An empty caption scores 0, unless a reference is empty too: then 1.

    A word with a space inside is one, as in coco-caption.
    """
    if pairs.num_clips == 0:
        return mean_of(np.zeros(0))
    candidate, reference = pairs.candidate_lengths[pairs.clip_of], pairs.reference_lengths
    common = _common_lengths(pairs)
    # coco-caption splits an empty caption into one empty word.
    common[(candidate == 0) & (reference == 0)] = 1
    precision = np.maximum.reduceat(common / np.maximum(candidate, 1), pairs.first_reference)
    recall = np.maximum.reduceat(common / np.maximum(reference, 1), pairs.first_reference)
    weighted = recall + _BETA**2 * precision
    scores = np.zeros(pairs.num_clips)
    np.divide((1 + _BETA**2) * precision * recall, weighted, out=scores, where=weighted > 0)
    return mean_of(scores)


def _common_lengths(pairs: TokenPairs) -> IntArray:
    """Return the longest common subsequence of each reference and its candidate: int64 (M,)."""
    candidate_lengths = pairs.candidate_lengths[pairs.clip_of]
    # Pairs of like length are filled into one table, so that a long caption widens few others.
    by_length = np.lexsort((pairs.reference_lengths, candidate_lengths))
    common = np.zeros(len(by_length), np.int64)
    start = int(np.searchsorted(candidate_lengths[by_length], 1))  # nothing is common with no words
    while start < len(by_length):
        stop = _end_of_part(candidate_lengths[by_length], start)
        part = by_length[start:stop]
        candidate = _padded(pairs, pairs.clip_of[part], pad=-1)
        reference = _padded(pairs, part + pairs.num_clips, pad=-2)  # equal to no word
        common[part] = _longest(candidate, reference)
        start = stop
    return common


def _end_of_part(lengths: IntArray, start: int) -> int:
    """Return how far the pairs from `start` fit into one table; lengths int64 (M,) ascend."""
    stop = min(len(lengths), start + max(1, _MAX_CELLS // int(lengths[start])))
    while stop > start + 1 and (stop - start) * int(lengths[stop - 1]) > 2 * _MAX_CELLS:
        stop = start + (stop - start) // 2
    return stop


def _padded(pairs: TokenPairs, captions: IntArray, *, pad: int) -> IntArray:
    """Write captions one below the other, filled up: int64 (P, L)."""
    starts = pairs.starts[captions]
    lengths = np.append(pairs.starts, len(pairs.words))[captions + 1] - starts
    columns = np.arange(int(lengths.max(initial=0)))
    is_word = columns < lengths[:, None]
    words = np.full(is_word.shape, pad, np.int64)
    words[is_word] = pairs.words[(starts[:, None] + columns)[is_word]]
    return words


# A row of the table holds, for a reference up to some word and a candidate up to each, the length
# of what is common: the largest of the cell above, the cell to the left, and the one above that,
# and one more where the words are equal. The cells to the left are what a running maximum takes in,
# so a row is filled at once, for all pairs.
def _longest(candidate: IntArray, reference: IntArray) -> IntArray:
    """Fill the usual table of int64 (P, L) and (P, L') words row by row: int64 (P,)."""
    table = np.zeros((len(candidate), candidate.shape[1] + 1), np.int64)
    for word in reference.T:
        with_word = table[:, :-1] + (candidate == word[:, None])
        np.maximum(with_word, table[:, 1:], out=with_word)
        np.maximum.accumulate(with_word, axis=1, out=table[:, 1:])
    longest: IntArray = table[:, -1].copy()
    return longest


_SIGMA = 6.0
_SCALE = 10.0


def cider_d(pairs: TokenPairs) -> Tally:
    """Tally CIDEr-D: the mean over the clips of each one's mean over its references.

    The clips must be all that are scored, for the idf is of these. The length penalty compares the
    numbers of bigrams, as coco-caption does; a word with a space inside is several.
    """
    pairs = pairs.at_spaces
    if pairs.num_clips == 0:
        return mean_of(np.zeros(0))
    similarity = sum(_similarity(pairs, order) for order in pairs.orders) / len(pairs.orders)
    candidate_bigrams = np.maximum(pairs.candidate_lengths - 1, 0)[pairs.clip_of]
    reference_bigrams = np.maximum(pairs.reference_lengths - 1, 0)
    penalty = np.exp(-((candidate_bigrams - reference_bigrams) ** 2) / (2 * _SIGMA**2))  # (M,)
    scores = np.bincount(pairs.clip_of, similarity * penalty, pairs.num_clips)
    num_references = np.bincount(pairs.clip_of, minlength=pairs.num_clips)
    return mean_of(_SCALE * scores / num_references)


def _similarity(pairs: TokenPairs, order: OrderCounts) -> FloatArray:
    """Compare each reference with its clip's candidate in the n-grams of one order: (M,)."""
    candidate, reference, size = order.candidate, order.reference, max(order.num_ngrams, 1)
    clip = pairs.clip_of[reference.caption]
    # The number of clips, and not of references, is what coco-caption counts rarity by.
    in_clips = distinct(clip * size + reference.ngram) % size  # each n-gram once a clip
    num_clips_with = np.bincount(in_clips, minlength=size)
    idf = np.log(float(pairs.num_clips)) - np.log(np.maximum(num_clips_with, 1))
    candidate_weight = candidate.count * idf[candidate.ngram]
    reference_weight = reference.count * idf[reference.ngram]
    positions, is_there = positions_in(
        candidate.caption * size + candidate.ngram, clip * size + reference.ngram
    )
    shared = np.minimum(candidate_weight[positions[is_there]], reference_weight[is_there])
    dot = np.bincount(
        reference.caption[is_there], shared * reference_weight[is_there], len(pairs.clip_of)
    )
    candidate_norm = np.sqrt(np.bincount(candidate.caption, candidate_weight**2, pairs.num_clips))
    reference_norm = np.sqrt(
        np.bincount(reference.caption, reference_weight**2, len(pairs.clip_of))
    )
    norm = candidate_norm[pairs.clip_of] * reference_norm
    return np.divide(dot, norm, out=np.zeros(len(norm)), where=norm > 0)

"""BLEU-1 to BLEU-4 as coco-caption computes them: pooled over the clips, closest length.

Papineni et al. 2002. The clipped counts and the lengths of all clips are summed before anything is
divided; the reference length of a clip is that closest to the candidate's, the shorter of two as
close; nothing is smoothed beyond coco-caption's tiny constants.

Shapes: N clips.
"""

from __future__ import annotations

import numpy as np

from taskgrain.metrics.ngrams import (
    MAX_ORDER,
    IntArray,
    NgramCounts,
    OrderCounts,
    TokenPairs,
    positions_in,
)
from taskgrain.metrics.tally import FloatArray, Formula, Tally

# They keep a score of nothing at nearly 0 instead of an error.
_TINY, _SMALL = 1e-15, 1e-9
_GUESSED, _LENGTH, _REFERENCE_LENGTH = MAX_ORDER, 2 * MAX_ORDER, 2 * MAX_ORDER + 1


def bleu(pairs: TokenPairs) -> tuple[Tally, ...]:
    """Tally BLEU-1, BLEU-2, BLEU-3 and BLEU-4.

    The counts of a clip are its n-grams that a reference holds too (no more of each than in the
    reference that has most), for n = 1 to 4; its n-grams, for n = 1 to 4; its words; the words of
    the closest reference. An empty caption counts 0 right of 0, and lengthens what was to be said.
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
    """Give the length of each clip's reference closest to its candidate's: float64 (N,)."""
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
    said = order.candidate
    positions, is_there = positions_in(keys, said.caption * size + said.ngram)
    right = np.minimum(said.count[is_there], most[positions[is_there]])
    clipped = np.bincount(said.caption[is_there], right, pairs.num_clips)
    return clipped.astype(np.float64)


def _most_in_a_reference(
    pairs: TokenPairs, reference: NgramCounts, size: int
) -> tuple[IntArray, IntArray]:
    """Give the keys of (clip, n-gram), ascending, and the most that one reference holds of each."""
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

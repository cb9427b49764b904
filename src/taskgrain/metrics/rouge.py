"""ROUGE-L as coco-caption computes it: the longest common subsequence of words.

Lin 2004, with beta 1.2; the best precision and the best recall over a clip's references are taken
separately, and the score of the clips is their mean.

Shapes: N clips, M references, P pairs of a candidate and a reference, L words.
"""

from __future__ import annotations

import numpy as np

from taskgrain.metrics.ngrams import IntArray, TokenPairs
from taskgrain.metrics.tally import Tally, mean_of

_BETA = 1.2
_MAX_CELLS = 1 << 20  # of the table that is filled for some pairs at once


def rouge_l(pairs: TokenPairs) -> Tally:
    """Tally ROUGE-L. An empty caption scores 0, unless a reference is empty too: then 1.

    A word with a space inside is one, as in coco-caption.
    """
    if pairs.num_clips == 0:
        return mean_of(np.zeros(0))
    said, meant = pairs.candidate_lengths[pairs.clip_of], pairs.reference_lengths
    common = _common_lengths(pairs)
    # coco-caption splits an empty caption into one empty word.
    common[(said == 0) & (meant == 0)] = 1
    precision = np.maximum.reduceat(common / np.maximum(said, 1), pairs.first_reference)
    recall = np.maximum.reduceat(common / np.maximum(meant, 1), pairs.first_reference)
    weighted = recall + _BETA**2 * precision
    scores = np.zeros(pairs.num_clips)
    np.divide((1 + _BETA**2) * precision * recall, weighted, out=scores, where=weighted > 0)
    return mean_of(scores)


def _common_lengths(pairs: TokenPairs) -> IntArray:
    """Give the longest common subsequence of each reference and its candidate: int64 (M,)."""
    said = pairs.candidate_lengths[pairs.clip_of]
    meant = pairs.reference_lengths
    # Pairs of like length are filled into one table, so that a long caption widens few others.
    by_length = np.lexsort((meant, said))
    common = np.zeros(len(meant), np.int64)
    start = int(np.searchsorted(said[by_length], 1))  # nothing is common with no words
    while start < len(by_length):
        stop = _end_of_part(said[by_length], start)
        part = by_length[start:stop]
        candidate = _padded(pairs, pairs.clip_of[part], pad=-1)
        reference = _padded(pairs, part + pairs.num_clips, pad=-2)  # equal to no word
        common[part] = _longest(candidate, reference)
        start = stop
    return common


def _end_of_part(lengths: IntArray, start: int) -> int:
    """Say how far the pairs from `start` fit into one table; lengths int64 (M,) ascend."""
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


def _longest(candidate: IntArray, reference: IntArray) -> IntArray:
    """Fill the usual table of int64 (P, L) and (P, L') words row by row: int64 (P,)."""
    table = np.zeros((len(candidate), candidate.shape[1] + 1), np.int64)
    for word in reference.T:
        with_word = table[:, :-1] + (candidate == word[:, None])
        np.maximum(with_word, table[:, 1:], out=with_word)
        np.maximum.accumulate(with_word, axis=1, out=table[:, 1:])
    longest: IntArray = table[:, -1].copy()
    return longest

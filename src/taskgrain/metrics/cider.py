"""CIDEr-D as coco-caption computes it: rare n-grams count for more, in [0, 10].

Vedantam et al. 2015: n = 1 to 4, clipped, sigma 6, times 10; the rarity (idf) of an n-gram is taken
from the references that are scored. So one clip, or equal references, give 0 for any caption.

Shapes: N clips, M references.
"""

from __future__ import annotations

import numpy as np

from taskgrain.metrics.ngrams import OrderCounts, TokenPairs, distinct, positions_in
from taskgrain.metrics.tally import FloatArray, Tally, mean_of

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
    said = np.maximum(pairs.candidate_lengths - 1, 0)[pairs.clip_of]
    meant = np.maximum(pairs.reference_lengths - 1, 0)
    penalty = np.exp(-((said - meant) ** 2) / (2 * _SIGMA**2))  # (M,)
    scores = np.bincount(pairs.clip_of, similarity * penalty, pairs.num_clips)
    num_references = np.bincount(pairs.clip_of, minlength=pairs.num_clips)
    return mean_of(_SCALE * scores / num_references)


def _similarity(pairs: TokenPairs, order: OrderCounts) -> FloatArray:
    """Compare each reference with its clip's candidate in the n-grams of one order: (M,)."""
    said, meant, size = order.candidate, order.reference, max(order.num_ngrams, 1)
    clip = pairs.clip_of[meant.caption]
    in_clips = distinct(clip * size + meant.ngram) % size  # each n-gram once a clip
    num_clips_with = np.bincount(in_clips, minlength=size)
    idf = np.log(float(pairs.num_clips)) - np.log(np.maximum(num_clips_with, 1))
    said_weight = said.count * idf[said.ngram]
    meant_weight = meant.count * idf[meant.ngram]
    positions, is_there = positions_in(said.caption * size + said.ngram, clip * size + meant.ngram)
    shared = np.minimum(said_weight[positions[is_there]], meant_weight[is_there])
    dot = np.bincount(meant.caption[is_there], shared * meant_weight[is_there], len(pairs.clip_of))
    said_norm = np.sqrt(np.bincount(said.caption, said_weight**2, pairs.num_clips))
    meant_norm = np.sqrt(np.bincount(meant.caption, meant_weight**2, len(pairs.clip_of)))
    norm = said_norm[pairs.clip_of] * meant_norm
    return np.divide(dot, norm, out=np.zeros(len(norm)), where=norm > 0)

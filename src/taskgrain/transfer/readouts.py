"""Read-outs: what of an encoder is tested, as views of features that were extracted once.

Shapes: N clips, T' encoder steps, D width, D_s and D_t widths of the two channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from taskgrain.transfer.features import FeatureSet

if TYPE_CHECKING:
    from taskgrain.names import Readout

Place = Literal["output", "channels"]
"""Where an encoder is read: what it gives, or what its channels give before the LSTM."""

PLACE_OF: Mapping[Readout, Place] = {
    "lstm-mean": "output",
    "lstm-mean-deviation": "output",
    "lstm-last": "output",
    "lstm-steps": "output",
    "channels-mean": "channels",
    "spatial-mean": "channels",
    "temporal-mean": "channels",
}
ONE_VECTOR: frozenset[Readout] = frozenset({"lstm-mean-deviation", "lstm-last"})
"""Those that leave one vector of a clip, and no steps."""
CHANNEL_WIDTHS = "channel_widths"  # the header's entry for [D_s, D_t]
TARGET_NORM = "+target-norm"  # what follows the read-out's name in a row


def read_out(features: FeatureSet, readout: Readout) -> FeatureSet:
    """Give what a read-out reads of the features at its place.

    "-mean" and "lstm-steps" keep every step: a probe that reads steps is given all of them, and
    others their mean, or of "lstm-steps" all of them side by side (`evaluate.flat`). "lstm-last"
    is the last step alone: there the forward direction of a bidirectional LSTM has read the whole
    clip, the backward one the last step only. "lstm-mean-deviation" has the mean and, beside it,
    the deviation over the steps (both in float64, divided by T'): how much each feature changes.
    An encoder without an LSTM is read in the same way.

    Args:
        features: float32 (N, T', D) of `PLACE_OF[readout]`; of the channels, the spatial one's
            D_s features first, and both widths in the header.
        readout: its name.

    Returns:
        float32 (N, T', D), (N, T', D_s), (N, T', D_t), for "lstm-last" (N, D), or
        for "lstm-mean-deviation" (N, 2 D).

    Raises:
        ValueError: if the features have no steps, or the channel is absent.
    """
    values = features.features
    if values.ndim != 3:
        raise ValueError(f"features are {values.shape}; {readout} needs those of every step")
    if readout == "lstm-last":
        return replace(features, features=values[:, -1])
    if readout == "lstm-mean-deviation":
        wide = values.astype(np.float64)
        both = np.concatenate([wide.mean(axis=1), wide.std(axis=1)], axis=1)
        return replace(features, features=both.astype(np.float32))
    if readout in ("spatial-mean", "temporal-mean"):
        spatial, temporal = _widths(features)
        first, width = (0, spatial) if readout == "spatial-mean" else (spatial, temporal)
        if not width:
            raise ValueError(f"{readout}: the encoder has no such channel")
        return replace(features, features=values[:, :, first : first + width])
    return features


def joins_steps(readout: str) -> bool:
    """Whether a probe that reads no steps is given them side by side, rather than their mean."""
    return readout == "lstm-steps"


def _widths(features: FeatureSet) -> tuple[int, int]:
    widths, width = features.header.get(CHANNEL_WIDTHS), features.features.shape[2]
    if not isinstance(widths, list | tuple) or len(widths) != 2 or sum(widths) != width:
        raise ValueError(
            f"the header's {CHANNEL_WIDTHS} are {widths!r}; expected two that add up to {width}"
        )
    return int(widths[0]), int(widths[1])

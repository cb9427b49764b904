"""Run a frozen encoder over clips, once, and keep what it gives.

Shapes: B clips of a batch, T frames, N clips in all, T' encoder steps, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taskgrain.data.dataset import Batch
from taskgrain.transfer.archive import Arrays
from taskgrain.transfer.features import FeatureSet
from taskgrain.transfer.readouts import CHANNEL_WIDTHS, Place

ReadVideo = Callable[[Tensor], Mapping[Place, Tensor]]
"""Maps uint8 (B, T, H, W, 3), RGB, to float32 (B, D) or (B, T', D) at each place."""


@runtime_checkable
class HasChannels(Protocol):
    """An encoder that can be read before its LSTM."""

    @property
    def channel_widths(self) -> tuple[int, int]:
        """Give D_s and D_t; 0 for a channel that is absent."""
        ...

    def channel_features(self, video: Tensor) -> Tensor:
        """Map uint8 (B, T, H, W, 3), RGB, to float32 (B, T', D_s + D_t) before the LSTM."""
        ...

    def from_channels(self, seen: Tensor) -> Tensor:
        """Map what `channel_features` gave to what the encoder gives, float (B, T', D)."""
        ...


def encoder_reader(
    encoder: nn.Module, places: Collection[Place], *, device: torch.device
) -> ReadVideo:
    """Give the function that reads a frozen encoder at some places, in one pass over a video.

    The encoder, which maps uint8 (B, T, H, W, 3), RGB, to float (B, T', D), is put into eval mode
    on `device`, and is to stay so.

    Raises:
        ValueError: if its channels are to be read and it has none.
    """
    encoder.eval().to(device)
    if "channels" not in places:
        return lambda video: {"output": encoder(video).float()}
    if not isinstance(encoder, HasChannels):
        raise ValueError(f"{type(encoder).__name__} has no channel_features to read")
    channels: HasChannels = encoder

    def read(video: Tensor) -> dict[Place, Tensor]:
        seen = channels.channel_features(video)
        found: dict[Place, Tensor] = {"channels": seen.float()}
        if "output" in places:
            found["output"] = channels.from_channels(seen).float()
        return found

    return read


def place_facts(encoder: nn.Module, place: Place) -> dict[str, object]:
    """Say what the header of features must tell of a place: the widths of the two channels."""
    if place == "channels" and isinstance(encoder, HasChannels):
        return {CHANNEL_WIDTHS: list(encoder.channel_widths)}
    return {}


def collect_places(
    read: ReadVideo, batches: Iterable[Batch], *, device: torch.device
) -> dict[str, NDArray[np.generic]]:
    """Apply `read` to the video of every batch, without autocast: a part of `extract_in_parts`.

    Args:
        read: gives float32 with a row a clip.
        batches: clips in any order and batch size.
        device: where to compute.

    Returns:
        `clip`, text (N,), and at each place float32 (N, D) or (N, T', D), clip by clip.

    Raises:
        ValueError: if `read` does not give float32 with a row a clip, or if there are no clips.
    """
    clip_ids: list[str] = []
    found: dict[Place, list[Tensor]] = {}
    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        for batch in batches:
            for place, features in read(batch.video.to(device)).items():
                if features.dtype != torch.float32 or len(features) != len(batch.clip_ids):
                    raise ValueError(
                        f"features are {features.dtype} {tuple(features.shape)}; expected float32 "
                        f"with {len(batch.clip_ids)} rows"
                    )
                found.setdefault(place, []).append(features.cpu())
            clip_ids.extend(batch.clip_ids)
    if not clip_ids:
        raise ValueError("there are no clips to extract features from")
    arrays: dict[str, NDArray[np.generic]] = {"clip": np.array(clip_ids, dtype=np.str_)}
    return arrays | {place: torch.cat(each).numpy() for place, each in found.items()}


def feature_set(parts: Sequence[Arrays], place: Place, header: Mapping[str, object]) -> FeatureSet:
    """Join what `collect_places` gave of some parts, at one place.

    Raises:
        ResultError: naming the clips that came twice or whose features are not finite.
    """
    clip_ids = tuple(str(clip) for part in parts for clip in part["clip"])
    features = np.concatenate([part[place] for part in parts])
    return FeatureSet(clip_ids, features.astype(np.float32, copy=False), header)

"""Run a frozen encoder over clips, once, and keep what it gives.

Shapes: B clips of a batch, T frames, N clips in all, T' encoder steps, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from taskgrain.data.batch import Batch
from taskgrain.transfer.features import FeatureSet

Readout = Literal["lstm-mean", "channels-mean"]


@runtime_checkable
class HasChannelFeatures(Protocol):
    """An encoder that can be read before its LSTM."""

    def channel_features(self, video: Tensor) -> Tensor:
        """Map uint8 (B, T, H, W, 3), RGB, to float32 (B, T', D) before the LSTM."""
        ...


def extract(
    encoder: nn.Module,
    batches: Iterable[Batch],
    *,
    readout: Readout,
    device: torch.device,
    header: Mapping[str, object],
) -> FeatureSet:
    """Read every step of a frozen encoder: eval mode, float32, no autocast, each clip once.

    The encoder is left in eval mode on `device`. Averaging over the steps, which both read-outs
    are named after, is left to `mean_over_steps`.

    Args:
        encoder: maps uint8 (B, T, H, W, 3), RGB, to float32 (B, T', D).
        batches: clips in any order and batch size.
        readout: "lstm-mean" reads the encoder's output; "channels-mean" its `channel_features`.
        device: where to compute.
        header: where the features come from; `readout` is added.

    Returns:
        float32 (N, T', D), in the order in which the clips came.

    Raises:
        ValueError: if the encoder cannot be read so, does not compute in float32, or if there
            are no clips.
        ResultError: naming the clips that came twice or whose features are not finite.
    """
    encoder.eval().to(device)
    read: Callable[[Tensor], Tensor] = encoder
    if readout == "channels-mean":
        if not isinstance(encoder, HasChannelFeatures):
            raise ValueError(f"{type(encoder).__name__} has no channel_features to read")
        read = encoder.channel_features
    with_readout = {**header, "readout": readout}
    return collect(lambda video: read(video).float(), batches, device=device, header=with_readout)


def collect(
    read: Callable[[Tensor], Tensor],
    batches: Iterable[Batch],
    *,
    device: torch.device,
    header: Mapping[str, object],
) -> FeatureSet:
    """Apply `read` to the video of every batch and keep the result, clip by clip.

    Args:
        read: maps uint8 (B, T, H, W, 3), RGB, to float32 (B, D) or (B, T', D).
        batches: clips in any order and batch size.
        device: where to compute.
        header: where the features come from.

    Raises:
        ValueError: if `read` does not give float32 with a row a clip, or if there are no clips.
        ResultError: naming the clips that came twice or whose features are not finite.
    """
    clip_ids: list[str] = []
    parts: list[Tensor] = []
    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        for batch in batches:
            features = read(batch.video.to(device))  # (B, T', D) or (B, D)
            if features.dtype != torch.float32 or len(features) != len(batch.clip_ids):
                raise ValueError(
                    f"features are {features.dtype} {tuple(features.shape)}; expected float32 "
                    f"with {len(batch.clip_ids)} rows"
                )
            clip_ids.extend(batch.clip_ids)
            parts.append(features.cpu())
    if not parts:
        raise ValueError("there are no clips to extract features from")
    return FeatureSet(tuple(clip_ids), torch.cat(parts).numpy(), header)

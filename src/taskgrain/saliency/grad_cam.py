"""Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) over both channels of the encoder.

A target y is a log-probability in nats. For a plane k of a channel's last convolution and a step t
of the channel, a[k, t] is the mean over the step's sites of dy / dA[k, t]; the map is
ReLU(sum over k of a[k, t] A[k, t]). The paper has one a[k] for an image; a step of a clip is an
image of its own to the LSTM, so it has its own here. Where the channel takes the mean of its sites,
a[k, t] A[k, t] sums over the sites to the slope times what the LSTM is given: nats in both
channels, which therefore add up as they are.

A site lies at the centre of what it looks at. The usual resizing of a small map puts the sites side
by side over the frame instead: with strides of 16 pixels that is 8 pixels off.

Shapes: K targets or maps, T frames, H W pixels, T' steps; of a channel, T_c h w sites (positions of
its map) and D_c width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taskgrain.errors import CheckpointError
from taskgrain.labels.vocabulary import BOS
from taskgrain.models.encoder import Channel, TwoChannelEncoder
from taskgrain.models.model import SourceModel, in_eval_mode

SPATIAL, TEMPORAL = "spatial", "temporal"


@dataclass(frozen=True, slots=True)
class ClassTarget:
    """The log-probability of a class: the head's mean over the steps."""

    name: str
    index: int  # 0 to the number of classes - 1


@dataclass(frozen=True, slots=True)
class WordTarget:
    """The log-probability of a word of a caption, given the words before it."""

    name: str
    tokens: tuple[int, ...]  # BOS and the caption, up to the word itself


Target = ClassTarget | WordTarget


@dataclass(frozen=True, slots=True)
class Saliency:
    """What of a clip speaks for each target; what speaks against it is left out.

    The channels are scaled together, so that their sum is 1 where a target's evidence is greatest,
    and 0 all over where nothing speaks for it. So the channels compare, and so do the frames;
    targets compare by `peak`.
    """

    names: tuple[str, ...]
    log_probs: NDArray[np.float64]  # (K,), of the targets, nats
    peak: NDArray[np.float32]  # (K,), what 1 stands for: nats a pixel of a frame
    channels: Mapping[str, NDArray[np.float32]]  # "spatial", "temporal": (K, T, H, W), 0 to 1

    @property
    def maps(self) -> NDArray[np.float32]:
        """Both channels together: float32 (K, T, H, W), 0 to 1."""
        together = np.sum(list(self.channels.values()), axis=0, dtype=np.float32)
        return np.minimum(together, np.float32(1))

    def share(self, channel: str) -> NDArray[np.float64]:
        """Return a channel's share of the evidence: float64 (K,), 0 to 1; NaN without evidence."""
        total = {
            name: maps.sum(axis=(1, 2, 3), dtype=np.float64) for name, maps in self.channels.items()
        }
        with np.errstate(invalid="ignore"):
            return total[channel] / sum(total.values())


def explain(model: SourceModel, video: Tensor, targets: Sequence[Target]) -> Saliency:
    """Map what speaks for each target; the model computes as when tested and is left as it was.

    Args:
        model: with a `TwoChannelEncoder`, on any device; one of its channels may be absent.
        video: uint8 (T, H, W, 3), RGB, one clip.
        targets: K >= 1 of them.

    Raises:
        CheckpointError: if the encoder is of another kind: its maps lie elsewhere.
        ValueError: if there is no target, or one that the model cannot say.
    """
    encoder = model.encoder
    if not isinstance(encoder, TwoChannelEncoder):
        raise CheckpointError(
            f"the encoder is a {type(encoder).__name__}; explanations read the maps of the "
            "two-channel encoder"
        )
    if not targets:
        raise ValueError("no targets; expected at least one class or word to explain")
    channels = {SPATIAL: encoder.spatial, TEMPORAL: encoder.temporal}
    present = {name: channel for name, channel in channels.items() if channel is not None}
    device = encoder.inputs.pixel_mean.device
    with _as_tested(model, device):
        maps, features = _watch(encoder, present, video.to(device))
        scores = torch.stack([_score(model, features, target) for target in targets])
        slopes = [
            torch.autograd.grad(score, list(maps.values()), retain_graph=True) for score in scores
        ]
        weighted = {
            name: _weighted(seen, [each[index] for each in slopes])
            for index, (name, seen) in enumerate(maps.items())
        }
    clip = (video.shape[0], video.shape[1], video.shape[2])
    evidence = {name: spread(weighted[name], channel, clip) for name, channel in present.items()}
    together = np.sum(list(evidence.values()), axis=0, dtype=np.float32)
    peak = together.max(axis=(1, 2, 3))
    scale = np.divide(1, peak, out=np.zeros_like(peak), where=peak > 0)[:, None, None, None]
    return Saliency(
        names=tuple(target.name for target in targets),
        log_probs=scores.detach().cpu().numpy(),
        peak=peak,
        channels={name: np.minimum(maps * scale, 1) for name, maps in evidence.items()},
    )


@contextmanager
def _as_tested(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Compute with gradients, in eval mode and full precision, whatever the caller had set."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        # cuDNN gives no gradients of an LSTM in eval mode.
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(in_eval_mode(model))
        yield


def _watch(
    encoder: TwoChannelEncoder, channels: Mapping[str, Channel], video: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Encode a clip: return float (1, D_c, T_c, h, w) maps a channel and (1, T', D) features.

    The maps are where gradients end: no convolution is gone back through.
    """
    maps: dict[str, Tensor] = {}

    def keep(name: str, seen: Tensor) -> Tensor:
        maps[name] = seen.detach().requires_grad_()
        return maps[name]

    with ExitStack() as hooks:
        for name, channel in channels.items():
            handle = channel.layers.register_forward_hook(
                lambda _module, _inputs, seen, name=name: keep(name, seen)
            )
            hooks.callback(handle.remove)
        features = encoder(video[None]).float()
    return maps, features


def _score(model: SourceModel, features: Tensor, target: Target) -> Tensor:
    """Return a target's log-probability, float64 (); in float32 its slope is 0 near p = 1."""
    if isinstance(target, WordTarget):
        return _word_score(model, features, target)
    if model.head is None:
        raise ValueError(f"{target.name!r} is a class, but the model has no head")
    num_classes = model.head.num_classes
    if not 0 <= target.index < num_classes:
        raise ValueError(f"class {target.index}: expected 0 to {num_classes - 1}")
    log_probs = model.head.linear(features).double().log_softmax(dim=2)[0]  # (T', K)
    return log_probs[:, target.index].mean()


def _word_score(model: SourceModel, features: Tensor, target: WordTarget) -> Tensor:
    if model.decoder is None:
        raise ValueError(f"{target.name!r} is a word, but the model has no decoder")
    size = model.decoder.vocabulary_size
    has_words = len(target.tokens) > 1 and target.tokens[0] == BOS
    if not has_words or not all(0 <= token < size for token in target.tokens):
        raise ValueError(
            f"tokens {target.tokens}: expected BOS ({BOS}) and words behind it, each below {size}"
        )
    caption = torch.tensor([target.tokens], device=features.device)  # (1, L)
    logits = model.decoder(features, caption)[0, -1]  # (V,)
    return logits.double().log_softmax(dim=0)[target.tokens[-1]]


def _weighted(maps: Tensor, slopes: Sequence[Tensor]) -> NDArray[np.float32]:
    """Weigh the planes of (1, D_c, T_c, h, w) maps by K slopes of that shape: (K, T_c, h, w)."""
    weights = torch.cat(list(slopes)).mean((3, 4))  # (K, D_c, T_c)
    seen = torch.einsum("kdt,dthw->kthw", weights, maps.detach()[0]).relu()
    return seen.cpu().numpy()


@dataclass(frozen=True, slots=True)
class Places:
    """Where sites lie along one axis of the clip: at `first`, then every `spacing`."""

    first: float  # frames, or pixels
    spacing: float

    def weights(self, num_sites: int, size: int) -> NDArray[np.float64]:
        """Return how much of each site a frame or a row of pixels takes: float64 (size, num_sites).

        Linear between the two sites that it lies between; the outer sites reach to the edge.
        """
        centres = self.first + self.spacing * np.arange(num_sites)
        at = np.arange(size)
        return np.stack([np.interp(at, centres, one) for one in np.eye(num_sites)], axis=1)


def places_of(channel: Channel, num_frames: int) -> tuple[Places, Places, Places]:
    """Return the places of a channel's sites in time, height and width; zero padding aside."""
    # Each layer moves the centre of the first site by (kernel - 1) / 2 - padding sites of the layer
    # before it, and sets its sites `stride` of those apart.
    first, spacing = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    for module in channel.layers.modules():
        if isinstance(module, nn.Conv3d):
            size, stride, padding = module.kernel_size, module.stride, module.padding
            assert not isinstance(padding, str)
        elif isinstance(module, nn.MaxPool3d):
            assert isinstance(module.kernel_size, tuple)
            size, stride, padding = module.kernel_size, module.kernel_size, (0, 0, 0)
        else:
            continue
        for axis in range(3):
            first[axis] += ((size[axis] - 1) / 2 - padding[axis]) * spacing[axis]
            spacing[axis] *= stride[axis]
    time, height, width = map(Places, first, spacing)
    # The channel looks at the middle one of each `step` frames, as `FrameInputs` does.
    step = channel.frame_stride
    skipped = min(step // 2, num_frames - 1) if step > 1 else 0
    return Places(skipped + step * time.first, step * time.spacing), height, width


def spread(
    maps: NDArray[np.float32], channel: Channel, clip: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Bring maps to the frames and pixels of a clip.

    Args:
        maps: float32 (K, T_c, h, w), the sum over what each site stands for.
        channel: that they belong to.
        clip: T, H, W.

    Returns:
        float32 (K, T, H, W), a pixel of a frame each: a site's value is divided by the frames
        and pixels from it to the next, so that channels of other strides compare.
    """
    axes = places_of(channel, clip[0])
    by_time, by_row, by_column = (
        axis.weights(num_sites, size) / axis.spacing
        for axis, num_sites, size in zip(axes, maps.shape[1:], clip, strict=True)
    )
    rows = np.einsum("kthw,xw->kthx", maps.astype(np.float64), by_column)
    frames = np.einsum("kthx,yh->ktyx", rows, by_row)
    return np.einsum("ktyx,ft->kfyx", frames, by_time).astype(np.float32)

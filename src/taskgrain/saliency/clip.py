"""From a video file to a picture of the evidence for its description.

Shapes: T frames that the model sees, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskgrain.checkpoint import ModelDescription
from taskgrain.data.decode import DecodedClip, decode_sizes
from taskgrain.data.inspect import displayed_size
from taskgrain.data.sampling import FrameSampling, central_window, see
from taskgrain.decoding import GREEDY, BeamSettings
from taskgrain.describing import Describer
from taskgrain.labels.vocabulary import BOS, EOS, PAD
from taskgrain.models.model import SourceModel
from taskgrain.saliency.grad_cam import SPATIAL, ClassTarget, Saliency, Target, WordTarget, explain
from taskgrain.saliency.picture import Panel, write_animation
from taskgrain.train.step import decode_captions

PANEL_HEIGHT = 144  # pixels
WIDEST = 2.5  # times the height: what is wider is drawn narrower than it is


@dataclass(frozen=True, slots=True)
class DrawnClip:
    """A clip at two sizes: as the model is given it, and larger, in its own aspect."""

    stored: DecodedClip
    shown: DecodedClip
    larger: FrameSampling  # what the model sees of the clip, in the pixels of `shown`


def draw_explanation(
    describer: Describer, clip: Path | str, out: Path | str, *, decoded: DrawnClip | None = None
) -> Saliency | None:
    """Draw what speaks for the most probable class and for each word of the caption of a clip.

    Args:
        describer: with a `TwoChannelEncoder`.
        clip: a video file, or a folder of images.
        out: the animated WebP to write.
        decoded: the clip as `decode_to_draw` decodes it, where the caller has it.

    Returns:
        What is drawn: the class first, then the words; each where there is one. None where there
        is neither, as the caption is empty: the clip alone is drawn.

    Raises:
        ClipError: if the clip cannot be decoded.
        CheckpointError: if the encoder is of another kind.
    """
    sampling = describer.description.sampling
    clip, out = Path(clip), Path(out)
    decoded = decode_to_draw(clip, sampling) if decoded is None else decoded
    stored = decoded.stored
    video = torch.from_numpy(see(stored.frames, sampling))
    targets = targets_of(describer.model, describer.description, video, describer.beams)
    saliency = explain(describer.model, video, targets) if targets else None
    indices = central_window(len(stored.frames), sampling).frames
    seconds = float(indices[-1] - indices[0]) / max(1, len(indices) - 1) / stored.frame_rate
    level = describer.description.level
    panels = [Panel(clip.name, f"{len(indices)} frames" if targets else "an empty caption", None)]
    if saliency is not None:
        panels += [_panel(saliency, index, target, level) for index, target in enumerate(targets)]
    write_animation(out, _shown(decoded, indices), panels, frame_seconds=seconds)
    return saliency


@torch.inference_mode()
def targets_of(
    model: SourceModel, description: ModelDescription, video: Tensor, beams: BeamSettings = GREEDY
) -> tuple[Target, ...]:
    """Return the targets of a clip, uint8 (T, H, W, 3): its class, then the words of a caption."""
    features = model.encoder(video[None].to(next(model.parameters()).device)).float()
    targets: list[Target] = []
    if model.head is not None and description.level is not None:
        best = int(model.head(features).argmax())
        targets.append(ClassTarget(description.taxonomy.names(description.level)[best], best))
    if model.decoder is not None and description.vocabulary is not None:
        decoded = decode_captions(model.decoder, features, beams)[0]
        words = [token for token in decoded.tolist() if token not in (EOS, PAD)]
        targets += [
            WordTarget(description.vocabulary.decode([word]), (BOS, *words[: index + 1]))
            for index, word in enumerate(words)
        ]
    return tuple(targets)


def _panel(saliency: Saliency, index: int, target: Target, level: str | None) -> Panel:
    is_word = isinstance(target, WordTarget)
    # A class's probability is in the text: there it is scaled to a sum of 1 over the classes.
    notes = [f"p {np.exp(saliency.log_probs[index]):.2f}" if is_word else f"{level}"]
    if saliency.peak[index] == 0:
        notes.append("nothing speaks for it")
    elif len(saliency.channels) > 1:
        notes.append(f"{saliency.share(SPATIAL)[index]:.0%} spatial")
    return Panel(target.name, ", ".join(notes), saliency.maps[index], is_word=is_word)


def decode_to_draw(clip: Path, sampling: FrameSampling) -> DrawnClip:
    """Decode a clip once, at the size that the model is given and at the one that is drawn.

    Raises:
        ClipError: if the clip cannot be decoded.
    """
    width = PANEL_HEIGHT * sampling.width / sampling.height
    if sampling.fit == "stretch":
        # Clips are stored stretched; the picture shows them in their own aspect.
        displayed_height, displayed_width = displayed_size(clip)
        width *= displayed_width / sampling.store_width * sampling.store_height / displayed_height
    width = round(min(max(width, PANEL_HEIGHT / WIDEST), PANEL_HEIGHT * WIDEST))
    larger = replace(
        sampling,
        store_height=round(PANEL_HEIGHT * sampling.store_height / sampling.height),
        store_width=round(width * sampling.store_width / sampling.width),
        height=PANEL_HEIGHT,
        width=width,
    )
    # One pass over the file fills both sizes.
    stored, shown = decode_sizes(clip, [sampling.framing, larger.framing])
    return DrawnClip(stored, shown, larger)


def _shown(clip: DrawnClip, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the frames and the crop that the model saw, at the larger size.

    Args:
        clip: as `decode_to_draw` decodes it.
        indices: int64 (T,), of the stored frames that the model saw.

    Returns:
        uint8 (T, h, w, 3), in the clip's own aspect.
    """
    frames = clip.shown.frames
    # Of a very long clip larger frames are fewer.
    at = (indices * (clip.shown.frame_rate / clip.stored.frame_rate)).astype(np.int64)
    window = central_window(len(frames), clip.larger)
    return frames[np.minimum(at, len(frames) - 1), window.rows, window.columns]

"""What turns a clip into one vector to teach from: an encoder, and what it is shown.

Shapes: N clips, T frames, H W pixels, T' steps of an encoder, D its width.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from taskgrain.data.dataset import Batch
from taskgrain.data.decode import FRAME_RATE, decode_sizes
from taskgrain.data.sampling import FrameSampling, check_clips, names_of, see, see_given
from taskgrain.data.videos import printable
from taskgrain.encoders import Reader, Wanted, never_alone, open_reader
from taskgrain.errors import ConfigError
from taskgrain.models.pretrained.encoder import LIBRARIES
from taskgrain.models.pretrained.opening import WantedNetwork, make_ready
from taskgrain.teaching.near_duplicates import SIGNATURE_FRAMING, Signature, signature_of
from taskgrain.transfer.extract import collect_places
from taskgrain.transfer.features import PLACE_OF, fingerprint

NO_BATCH = torch.zeros(0, dtype=torch.long)  # labels are not used
CLIPS_TOGETHER = 4  # that an encoder reads at once; pretrained networks take no more themselves
SUMMARY_VERSION = 1  # of `summarise_steps`; another one has other features

# Image features know what is shown and hardly what moves; the features of change know that alone.
JOINED: Mapping[str, tuple[str, ...]] = {
    "imagenet": ("imagenet:efficientnet-lite0", "motion-energy")
}
# Networks that "auto" tries where their weights are on the machine: trained on Kinetics.
TORCHVISION = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d", "swin3d_t", "mvit_v1_b", "mvit_v2_s")
HUGGINGFACE = (
    "facebook/vjepa2-vitl-fpc64-256",
    "MCG-NJU/videomae-base-finetuned-kinetics",
    "facebook/timesformer-base-finetuned-k400",
    "google/vivit-b-16x2-kinetics400",
)
ALWAYS = ("motion-energy", "pixels")  # references, which may also be the best


@dataclass(frozen=True, slots=True)
class LessonEncoder:
    """What turns a clip into one vector."""

    name: str  # as the user names it
    readers: Mapping[str, Reader]  # by their names; their vectors stand side by side

    @property
    def facts(self) -> dict[str, object]:
        """Return all that determines the features of a clip, as JSON.

        A network counts by its weights, wherever they lie; what has none, by its name.
        """
        return {
            "readers": [
                {
                    **reader.facts,
                    "name": name if reader.facts["weights"] is None else None,
                    "readout": reader.readout,
                    "sampling": asdict(reader.sampling),
                }
                for name, reader in self.readers.items()
            ],
            "summary": SUMMARY_VERSION,
            "frame_rate": FRAME_RATE,
        }

    @property
    def fingerprint(self) -> str:
        """Identify the features by all that determines them: 64 hexadecimal digits."""
        return fingerprint(weights_sha256="features", preprocessing=self.facts, clip_ids=[])

    @property
    def is_checkpoint(self) -> bool:
        """Whether it is a checkpoint, which a taught model carries along."""
        return any("source" in reader.facts for reader in self.readers.values())

    @property
    def samplings(self) -> frozenset[FrameSampling]:
        """Return what of a clip its readers are shown."""
        return frozenset(reader.sampling for reader in self.readers.values())


def encoder_named(name: str, *, device: str = "cpu") -> LessonEncoder:
    """Open an encoder by its name; nothing is fetched.

    Args:
        name: "imagenet" (joined with motion energy), "motion-energy", "pixels", LIBRARY:NAME as
            "torchvision:r3d_18", or the folder of a checkpoint.
        device: where it computes.

    Raises:
        ConfigError: if there is no such encoder, or its weights are not on this machine.
        CheckpointError: if its weights are not whole.
    """
    parts = JOINED.get(name, (name,))
    return LessonEncoder(name, {part: open_reader(Wanted(part, device=device)) for part in parts})


def encoders_here(*, device: str = "cpu") -> list[LessonEncoder]:
    """Open every known encoder whose weights are on this machine; nothing is fetched.

    Raises:
        CheckpointError: if weights are there and not whole.
    """
    has_transformers = all(map(importlib.util.find_spec, ("transformers", "huggingface_hub")))
    names = [
        *JOINED,
        *(f"torchvision:{model}" for model in TORCHVISION),
        *(f"huggingface:{model}" for model in HUGGINGFACE if has_transformers),
        *ALWAYS,
    ]
    return [encoder_named(name, device=device) for name in names if _is_here(name)]


def _is_here(name: str) -> bool:
    try:
        for part in JOINED.get(name, (name,)):
            library, _, model = part.partition(":")
            # To name the file exactly takes torchvision's import: seconds, mostly for nothing.
            kept = Path(torch.hub.get_dir(), "checkpoints")
            if library == "torchvision" and not any(kept.glob(f"{model}-*")):
                return False
            for known in LIBRARIES:
                if library == known:
                    make_ready(WantedNetwork(known, model))
    except ConfigError:
        return False
    return True


def summarise_steps(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reduce the steps of each clip to one vector that knows their order.

    With x_t the T' steps, side by side stand

        mean        m = sum(x_t) / T'
        deviation   sqrt(sum((x_t - m)^2) / T')
        slope       sum(w_t x_t),  w_t = (t - (T' - 1) / 2) / sum(|s - (T' - 1) / 2| over all s)

    The weights of the slope sum to 0, their absolutes to 1: it is half the difference between a
    weighted mean of the second half and one of the first. Played backwards a clip has the same
    mean and deviation and the opposite slope: so "open" and "close" differ.

    Args:
        steps: float32 (N, T', D), T' >= 1.

    Returns:
        float32 (N, 3 D), computed in float64. Of a single step deviation and slope are 0. A clip's
        row does not depend on the other clips.
    """
    num_steps = steps.shape[1]
    centred = np.arange(num_steps) - (num_steps - 1) / 2
    weights = centred / max(np.abs(centred).sum(), 1.0)
    rows = []
    for clip in steps.astype(np.float64):  # (T', D)
        mean = clip.mean(axis=0)
        deviation = np.sqrt(((clip - mean) ** 2).mean(axis=0))
        # Less the mean, whose weights sum to 0 but for rounding: of equal steps it is exactly 0.
        slope = (weights[:, None] * (clip - mean)).sum(axis=0)
        rows.append(np.concatenate([mean, deviation, slope]))
    return np.stack(rows).astype(np.float32)


@dataclass(frozen=True, slots=True)
class SeenClip:
    """What the encoders are shown of one clip."""

    shown: Mapping[FrameSampling, NDArray[np.uint8]]  # (T, H, W, 3)
    signature: Signature
    problem: str  # of a truncated clip


def see_clip(path: Path, samplings: Collection[FrameSampling]) -> SeenClip:
    """Decode a clip once, and cut out of it what each encoder is shown.

    Raises:
        ClipError: if it cannot be decoded.
    """
    framings = list({SIGNATURE_FRAMING, *(each.framing for each in samplings)})
    sizes = dict(zip(framings, decode_sizes(path, framings), strict=True))
    whole = sizes[SIGNATURE_FRAMING]
    return SeenClip(
        {each: see(sizes[each.framing].frames, each) for each in samplings},
        signature_of(whole.frames),
        printable(whole.problem or "truncated") if whole.truncated else "",
    )


def encode_clips(
    encoder: LessonEncoder, shown: Sequence[Mapping[FrameSampling, NDArray[np.uint8]]]
) -> NDArray[np.float32]:
    """Compute the vectors of some clips, at least one: float32 (N, D).

    Args:
        encoder: of the vectors.
        shown: of each clip, uint8 (T, H, W, 3) for each of the encoder's `samplings`.
    """
    names = tuple(str(index) for index in range(len(shown)))
    parts: list[NDArray[np.float32]] = []
    for reader in encoder.readers.values():
        video = torch.from_numpy(np.stack([each[reader.sampling] for each in shown]))
        read = never_alone(reader.read) if reader.device.type == "cpu" else reader.read
        place = "output" if reader.readout is None else PLACE_OF[reader.readout]
        batch = Batch(names, video, NO_BATCH, NO_BATCH)
        values = collect_places(read, [batch], device=reader.device)[place].astype(np.float32)
        parts.append(values if values.ndim == 2 else summarise_steps(values))
    return np.concatenate(parts, axis=1)


def encode_given(
    encoder: LessonEncoder,
    clips: Sequence[NDArray[np.uint8]],
    names: Sequence[str] | None = None,
) -> NDArray[np.float32]:
    """Compute the features of clips in memory.

    Args:
        encoder: of the features.
        clips: at least one; uint8 (S, H', W', 3) each, RGB, 12 frames a second as a rule, of any
            size.
        names: one for each clip, for messages; None names them "clip 0", "clip 1", ...

    Returns:
        float32 (N, D), a row a clip.

    Raises:
        ValueError: if a clip is anything else, or names do not fit.
    """
    names = names_of(clips, names)
    for sampling in encoder.samplings:
        check_clips(clips, names, sampling, resize=True)
    parts = []
    for start in range(0, len(clips), CLIPS_TOGETHER):
        some = clips[start : start + CLIPS_TOGETHER]
        shown = [{each: see_given(clip, each) for each in encoder.samplings} for clip in some]
        parts.append(encode_clips(encoder, shown))
    return np.concatenate(parts)

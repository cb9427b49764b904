"""Open what computes features of clips: a checkpoint, a pretrained network, or no network at all.

Shapes: B clips, T frames, T' steps, H W pixels, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from taskgrain.checkpoint import load_model
from taskgrain.config.clips import Video
from taskgrain.data.sampling import FrameSampling
from taskgrain.errors import ConfigError
from taskgrain.models.pretrained.encoder import LIBRARIES, NetworkShape, Preparation
from taskgrain.models.pretrained.opening import WantedNetwork, Weights, open_encoder
from taskgrain.models.weights import weights_sha256
from taskgrain.names import Readout
from taskgrain.train.precision import usable_device
from taskgrain.transfer.extract import (
    ReadVideo,
    encoder_reader,
    motion_energy,
    place_facts,
    raw_pixels,
)
from taskgrain.transfer.features import CHANNEL_WIDTHS, PLACE_OF, Place

DEFAULT_FRAMES = 16  # of an encoder that takes any number
PLAIN: Mapping[str, Callable[[Tensor], Tensor]] = {
    "pixels": raw_pixels,
    "motion-energy": motion_energy,
}
"""Features that need no network: uint8 (B, T, H, W, 3) -> float32 (B, D)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which encoder is to read the clips, and how."""

    encoder: str  # checkpoint folder, LIBRARY:NAME as torchvision:resnet18, or a key of PLAIN
    readout: Readout | None = None  # None: lstm-mean, where there are steps
    num_frames: int | None = None  # where the encoder takes any number; None: its own, or 16
    weights: Weights = "cached"  # of a pretrained network
    seed: int = 0  # of random weights
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Reader:
    """An encoder that is ready to read."""

    read: ReadVideo
    sampling: FrameSampling  # what it is shown of a clip
    readout: Readout | None  # None where there is one vector a clip, and no steps
    device: torch.device
    facts: Mapping[str, object]  # for the header of its features, what identifies it among them
    network: nn.Module | None = None  # that `read` runs, for what is to write it down; None: none


def open_reader(wanted: Wanted) -> Reader:
    """Open the encoder that reads the clips.

    Raises:
        ConfigError: if there is no such encoder, its files are not on this machine, or it cannot
            be read so.
        CheckpointError: if its weights are not whole.
    """
    device = usable_device(wanted.device)
    if wanted.encoder in PLAIN:
        return _plain(wanted, device)
    library, colon, model = wanted.encoder.partition(":")
    # A loop rather than `in`: it tells mypy which of the names it is.
    for known in LIBRARIES:
        if colon and library == known:
            if not model:
                raise ConfigError(f"{wanted.encoder}: no name; expected as torchvision:resnet18")
            return _pretrained(wanted, WantedNetwork(known, model, wanted.weights), device)
    return _from_checkpoint(wanted, device)


def _plain(wanted: Wanted, device: torch.device) -> Reader:
    _refuse_weights(wanted)
    if wanted.readout is not None:
        raise ConfigError(f"--readout {wanted.readout}: {wanted.encoder} has one vector a clip")
    if wanted.encoder == "motion-energy" and wanted.num_frames == 1:
        raise ConfigError("--frames 1: nothing moves in a single frame; give 2 or more")
    usual = Video()  # what a study shows its encoders unless it says otherwise
    sampling = FrameSampling(
        wanted.num_frames or usual.num_frames,
        usual.store_height,
        usual.store_width,
        usual.height,
        usual.width,
        fit=usual.fit,
    )
    function = PLAIN[wanted.encoder]
    return Reader(
        lambda video: {"output": function(video)}, sampling, None, device, {"weights": None}
    )


def _pretrained(wanted: Wanted, network: WantedNetwork, device: torch.device) -> Reader:
    encoder, shape = open_encoder(network, wanted.seed)
    facts: dict[str, object] = {"network": _shown(shape)}
    if wanted.weights == "random":
        facts["random_weights"] = wanted.seed
    sampling = _sampling(wanted, shape.preparation)
    return _reader(wanted, encoder, sampling, device, facts)


def _from_checkpoint(wanted: Wanted, device: torch.device) -> Reader:
    folder = Path(wanted.encoder)
    if not folder.is_dir():
        raise ConfigError(
            f"{wanted.encoder}: neither a checkpoint folder nor one of {', '.join(PLAIN)}, "
            + ", ".join(f"{library}:NAME" for library in LIBRARIES)
        )
    _refuse_weights(wanted)
    if wanted.num_frames is not None:
        raise ConfigError("--frames: a checkpoint takes as many as it was trained with")
    model, description = load_model(folder)
    facts = {"source": description.source, "seed": description.seed}
    return _reader(wanted, model.encoder, description.sampling, device, facts)


def _reader(
    wanted: Wanted,
    encoder: nn.Module,
    sampling: FrameSampling,
    device: torch.device,
    facts: Mapping[str, object],
) -> Reader:
    readout: Readout = wanted.readout or "lstm-mean"
    place = PLACE_OF[readout]
    try:
        read = encoder_reader(encoder, [place], device=device)
    except ValueError:
        raise ConfigError(
            f"--readout {readout}: {wanted.encoder} has no channels before an LSTM; "
            "those that begin with lstm read what it gives"
        ) from None
    of_place = place_facts(encoder, place)
    _refuse_absent_channel(wanted, of_place)
    found = {**facts, **of_place, "weights": weights_sha256(encoder)}
    return Reader(read, sampling, readout, device, found, encoder)


def _refuse_absent_channel(wanted: Wanted, facts: Mapping[str, object]) -> None:
    widths = facts.get(CHANNEL_WIDTHS)
    if not isinstance(widths, list):
        return
    for readout, width in zip(("spatial-mean", "temporal-mean"), widths, strict=True):
        if wanted.readout == readout and not width:
            raise ConfigError(f"--readout {readout}: {wanted.encoder} has no such channel")


def _refuse_weights(wanted: Wanted) -> None:
    if wanted.weights != "cached":
        option = "--download" if wanted.weights == "download" else "--random-weights"
        raise ConfigError(
            f"{option} is for " + ", ".join(f"{library}:NAME" for library in LIBRARIES)
        )


def _sampling(wanted: Wanted, preparation: Preparation) -> FrameSampling:
    """Show a network what its publishers show it, from the decoding on."""
    own = preparation.num_frames
    if own is not None and wanted.num_frames not in (None, own):
        raise ConfigError(f"--frames {wanted.num_frames}: {wanted.encoder} takes {own}")
    return FrameSampling(
        wanted.num_frames or own or DEFAULT_FRAMES,
        preparation.scaled_height,
        preparation.scaled_width,
        preparation.height,
        preparation.width,
        fit="crop" if preparation.keeps_aspect else "stretch",
    )


def _shown(shape: NetworkShape) -> dict[str, object]:
    """Return the shape of a network without its folder, so that other places give equal headers."""
    return asdict(replace(shape, model=Path(shape.model).name))


def never_alone(read: ReadVideo) -> ReadVideo:
    """Return a function that reads one clip beside a copy of itself, and more clips as `read` does.

    On a CPU the libraries compute a lone clip by other kernels, which round its last bits otherwise
    (2.6e-8 of .1 for the compact encoder); from two clips up every batch size gave equal bits, with
    AVX2 and with SSE4.1 alone. So the last clip of a part does not depend on what was left for it.
    """

    def read_pair(video: Tensor) -> Mapping[Place, Tensor]:
        if len(video) > 1:
            return read(video)
        return {place: found[:1] for place, found in read(torch.cat([video, video])).items()}

    return read_pair

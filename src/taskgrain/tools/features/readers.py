"""The clips to extract features of, and what computes them.

Clips are a dataset's, or every video of a folder. Features are those of a checkpoint, of a
pretrained network, or of the pixels without any network.

Shapes: B clips, T frames, T' steps, H W pixels, D width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from taskgrain.config.clips import Video
from taskgrain.data.files import missing_folder
from taskgrain.data.layouts.tree import find_clips
from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import layout_of, read_manifest
from taskgrain.data.sampling import FrameSampling
from taskgrain.data.videos import is_video_name, printable, split_name
from taskgrain.errors import ConfigError, ManifestError, list_problems
from taskgrain.models.pretrained.encoder import LIBRARIES, NetworkShape, Preparation
from taskgrain.models.pretrained.opening import WantedNetwork, Weights, open_encoder
from taskgrain.models.weights import weights_sha256
from taskgrain.names import Readout
from taskgrain.predict import load_model
from taskgrain.train.precision import usable_device
from taskgrain.transfer.extract import (
    ReadVideo,
    encoder_reader,
    motion_energy,
    place_facts,
    raw_pixels,
)
from taskgrain.transfer.features import CHANNEL_WIDTHS, PLACE_OF

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
    return Reader(read, sampling, readout, device, found)


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


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip to extract features of, whatever its label is."""

    clip_id: str
    path: Path  # of the video file, or the folder of its frames
    excluded: str | None = None  # why its dataset leaves it out


@dataclass(frozen=True, slots=True)
class ClipList:
    """Clips in order, and the layout of their folder."""

    layout: str | None  # None: no dataset, but a folder with videos in it
    clips: tuple[Clip, ...]


def list_clips(data: Path, split: Split | None = None) -> ClipList:
    """List the clips of a dataset, or of a folder that holds videos and no annotations.

    In such a folder, at any depth, an id is the path below it without the suffix: "a", "walk/b".
    Of a dataset all splits are listed, test clips without annotation too.

    Args:
        data: the folder.
        split: lists this part of a dataset alone; None lists all of it.

    Raises:
        ManifestError: if there is no such folder, no clip in it, its annotations cannot be read, or
            a part is wanted of a folder without any.
    """
    if not data.is_dir():
        raise ManifestError(
            f"{data}: {missing_folder(data)}; expected a dataset, or a folder of videos"
        )
    layout = _layout(data)
    if layout is not None:
        clips = _of_dataset(read_manifest(data), split)
    elif split is not None:
        raise ManifestError(f"{data}: no dataset, so it has no split; leave --split out")
    else:
        clips = _of_folder(data)
    if not clips:
        part = "" if split is None else f"{split.value} "
        raise ManifestError(f"{data}: holds no {part}clip")
    return ClipList(layout, clips)


def _layout(data: Path) -> str | None:
    """Name the layout of a dataset; None if the folder is no dataset."""
    try:
        return layout_of(data)
    except ManifestError:
        return None  # without a label, videos are all that is needed


def _of_dataset(manifest: Manifest, split: Split | None) -> tuple[Clip, ...]:
    clips = [
        Clip(record.clip_id, record.path, record.excluded)
        for record in manifest.records
        if split in (None, record.split)
    ]
    if split in (None, Split.TEST):
        clips += [
            Clip(clip_id, manifest.root / file)
            for clip_id, file in zip(manifest.test_ids, manifest.test_files, strict=True)
        ]
    return tuple(clips)


def _of_folder(data: Path) -> tuple[Clip, ...]:
    files = list(find_clips(data))
    ids = [_id_of(file) for file in files]
    _refuse_twice(data, ids, files)
    return tuple(Clip(clip_id, data / file) for clip_id, file in zip(ids, files, strict=True))


def _id_of(file: str) -> str:
    above, slash, name = file.rpartition("/")
    return printable(above + slash + (split_name(name)[0] if is_video_name(name) else name))


def _refuse_twice(data: Path, ids: Sequence[str], files: Sequence[str]) -> None:
    twice = [clip for clip, times in Counter(ids).items() if times > 1]
    if twice:
        problems = [
            f"{data}: the files of clip {clip!r} are "
            + " and ".join(printable(f) for f, each in zip(files, ids, strict=True) if each == clip)
            + "; rename all but one"
            for clip in twice
        ]
        raise ManifestError(list_problems(problems))

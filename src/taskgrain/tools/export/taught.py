"""A taught model as ONNX: its encoder up to the vector of a clip, and its classifier.

Shapes: B clips, T frames, H W pixels, T' steps of a network, D width of the vector, K classes,
K' = K, or K + 1 with clips of no class, n held-out clips.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taskgrain.data.files import check_writable
from taskgrain.data.sampling import FrameSampling
from taskgrain.encoders import Reader
from taskgrain.randomness import generator_for
from taskgrain.teaching.model import TaughtModel
from taskgrain.teaching.seeing import LessonEncoder, encode_clips, see_clip
from taskgrain.teaching.taught import Taught, TaughtAnswer
from taskgrain.tools.export.graphs import (
    CLASSIFIER,
    ENCODER,
    EXAMPLE_BATCH,
    MADE_CLIPS,
    TOLERANCE,
    Exported,
    check_packages,
    compare,
    keep,
    open_session,
    run_graph,
    write_graph,
)
from taskgrain.transfer.extract import (
    BRIGHTEST,
    MOTION_BINS,
    MOTION_GRID,
    PIXEL_FRAMES,
    PIXEL_SIZE,
)

OUTPUTS = ("probs", "unlikeness", "typical", "is_none")  # of the classifier
Shown = Sequence[
    Mapping[FrameSampling, NDArray[np.uint8]]
]  # of each clip, what readers are shown of it


def export_taught(
    model: Path,
    out: Path,
    *,
    clips: Sequence[Path | str] = (),
    tolerance: float = TOLERANCE,
) -> Exported:
    """Write a taught model as ONNX graphs, checked against PyTorch, with its model.json.

    `encoder.onnx` takes what each of the encoder's readers is shown, uint8 (B, T, H, W, 3): `video`
    where there is one reader, and an input named after each where there are several. It gives
    features, float32 (B, D). `classifier.onnx` takes these and gives probs, float64 (B, K);
    unlikeness, float64 (B,), in nats; typical, float64 (B,), 0 to 1; and is_none, bool (B,): the
    clip is none of the classes. `onnx.inputs` in model.json says which frames and pixels of a clip
    each input is shown. B is free. Nothing is written unless everything agrees.

    Args:
        model: folder that `teach` wrote.
        out: a folder; files of these names in it are replaced.
        clips: videos to check on; none: clips of noise.
        tolerance: largest absolute difference allowed.

    Raises:
        ConfigError: if a package of the extra `export` is missing, the weights of the encoder are
            not on this machine, or `out` cannot be written.
        CheckpointError: if the model cannot be opened or exported, or differs from PyTorch.
        ClipError: if a clip cannot be decoded.
    """
    check_packages()
    check_writable(out / "model.json")  # before the graphs are traced, not after
    opened = TaughtModel.from_folder(model)
    shown = _shown(opened.encoder, clips)
    with tempfile.TemporaryDirectory() as scratch:
        graphs = {name: Path(scratch, name) for name in (ENCODER, CLASSIFIER)}
        example = _inputs(opened.encoder, [shown[0]] * EXAMPLE_BATCH)
        write_graph(_Encoder(opened.encoder), example, ["features"], graphs[ENCODER])
        features = torch.zeros(EXAMPLE_BATCH, opened.taught.facts.width)
        write_graph(_Classifier(opened.taught), {"features": features}, OUTPUTS, graphs[CLASSIFIER])
        differences, is_equal = _check(opened, graphs, shown)
        exported = Exported(
            folder=str(out),
            files=tuple(sorted(path.name for path in Path(scratch).iterdir())),
            tolerance=tolerance,
            largest_difference=differences,
            captions_equal=None,
            num_clips=len(shown),
            checked_on="clips" if clips else "noise",
            answers_equal=is_equal,
        )
        facts = {"inputs": _facts(opened.encoder), "threshold": opened.taught.threshold}
        keep(exported, model, Path(scratch), facts)
    return exported


def _shown(encoder: LessonEncoder, clips: Sequence[Path | str]) -> Shown:
    """Return what the readers are shown of each clip: uint8 (T, H, W, 3) a sampling."""
    if clips:
        return [see_clip(Path(clip), encoder.samplings).shown for clip in clips]
    rng = generator_for(0, 0, "export")
    order = list(dict.fromkeys(reader.sampling for reader in encoder.readers.values()))
    return [
        {
            each: rng.integers(0, 256, (each.num_frames, each.height, each.width, 3), np.uint8)
            for each in order
        }
        for _ in range(MADE_CLIPS)
    ]


def _input_names(encoder: LessonEncoder) -> dict[str, str]:
    """Name the input of each reader: reader -> input."""
    if len(encoder.readers) == 1:
        return dict.fromkeys(encoder.readers, "video")
    return {name: re.sub(r"[^A-Za-z0-9]+", "_", name) for name in encoder.readers}


def _inputs(encoder: LessonEncoder, shown: Shown) -> dict[str, Tensor]:
    """Stack what the readers are shown of some clips: input -> uint8 (B, T, H, W, 3)."""
    names = _input_names(encoder)
    return {
        names[name]: torch.from_numpy(np.stack([each[reader.sampling] for each in shown]))
        for name, reader in encoder.readers.items()
    }


def _facts(encoder: LessonEncoder) -> list[dict[str, object]]:
    """Return which frames and pixels each input is shown, in the order of the inputs."""
    return [
        {"input": name, "sampling": asdict(reader.sampling)}
        for name, reader in zip(
            _input_names(encoder).values(), encoder.readers.values(), strict=True
        )
    ]


def _check(
    model: TaughtModel, graphs: Mapping[str, Path], shown: Shown
) -> tuple[dict[str, float], bool]:
    """Run both graphs beside PyTorch: the largest differences, and whether answers are equal.

    Numbers of the classifier are compared on equal features: it divides by a small temperature,
    which magnifies what the encoders differ by. Answers are compared from the video on.
    """
    encoder, classifier = (open_session(graphs[name]) for name in (ENCODER, CLASSIFIER))
    differences: dict[str, float] = {}
    equal = []
    for some in (shown, shown[:1]):  # two sizes, as the batch is free
        wanted = torch.from_numpy(encode_clips(model.encoder, some))
        found = run_graph(encoder, _inputs(model.encoder, some))
        compare(differences, {"features": wanted}, found)
        answers = model.taught.answer(wanted.numpy())
        numbers = run_graph(classifier, {"features": wanted})
        compare(differences, _numbers(answers, model.classes), numbers)
        given = run_graph(classifier, found)
        equal.append(_labels(given, model.classes) == [each.label for each in answers])
    return differences, all(equal)


def _numbers(answers: Sequence[TaughtAnswer], classes: Sequence[str]) -> dict[str, Tensor]:
    """Lay answers out as the outputs of the classifier, but for `is_none`."""
    of_class = [{each.name: each.probability for each in answer.ranking} for answer in answers]
    numbers = {
        "probs": [[of[name] for name in classes] for of in of_class],
        "unlikeness": [each.unlikeness for each in answers],
        "typical": [each.typical for each in answers],
    }
    return {name: torch.tensor(each, dtype=torch.float64) for name, each in numbers.items()}


def _labels(outputs: Mapping[str, Tensor], classes: Sequence[str]) -> list[str | None]:
    """Read outputs of the classifier as users do: the most probable class, or None."""
    best = outputs["probs"].numpy().argmax(axis=1).tolist()
    return [
        None if is_none else classes[index]
        for index, is_none in zip(best, outputs["is_none"].tolist(), strict=True)
    ]


class _Encoder(nn.Module):
    """What each reader is shown to the vectors of the clips."""

    def __init__(self, encoder: LessonEncoder) -> None:
        super().__init__()
        self.parts = nn.ModuleList(_part(name, reader) for name, reader in encoder.readers.items())

    def forward(self, video: Tensor, *others: Tensor) -> Tensor:
        vectors = [part(each) for part, each in zip(self.parts, (video, *others), strict=True)]
        return torch.cat(vectors, dim=1)


def _part(name: str, reader: Reader) -> nn.Module:
    if reader.network is None:
        return PLAIN_GRAPHS[name](reader.sampling)
    return _Summarised(reader.network)


class _Summarised(nn.Module):
    """A network, and `summarise_steps` of what it gives."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, video: Tensor) -> Tensor:
        steps = self.network(video).float().double()  # (B, T', D)
        num_steps = steps.shape[1]
        centred = torch.arange(num_steps, dtype=torch.float64) - (num_steps - 1) / 2
        weights = centred / centred.abs().sum().clamp(min=1.0)
        mean = steps.mean(dim=1, keepdim=True)
        off = steps - mean
        deviation = (off * off).mean(dim=1).sqrt()
        slope = (weights[:, None] * off).sum(dim=1)
        return torch.cat([mean[:, 0], deviation, slope], dim=1).float()


def _areas(size: int, num_areas: int) -> Tensor:
    """Return the matrix (num_areas, size) that averages equal parts of an axis.

    ONNX has no adaptive pooling; where it averages over, two such products do.
    """
    matrix = torch.zeros(num_areas, size)
    for index in range(num_areas):
        first, last = index * size // num_areas, -(-(index + 1) * size // num_areas)
        matrix[index, first:last] = 1.0 / (last - first)
    return matrix


class _Pixels(nn.Module):
    """`raw_pixels`, of clips of one size."""

    def __init__(self, sampling: FrameSampling) -> None:
        super().__init__()
        self.index: Tensor
        self.rows: Tensor
        self.columns: Tensor
        index = torch.linspace(0, sampling.num_frames - 1, PIXEL_FRAMES).round().long()
        self.register_buffer("index", index)
        self.register_buffer("rows", _areas(sampling.height, PIXEL_SIZE))
        self.register_buffer("columns", _areas(sampling.width, PIXEL_SIZE))

    def forward(self, video: Tensor) -> Tensor:
        frames = video.index_select(1, self.index).permute(0, 1, 4, 2, 3)  # (B, 4, 3, H, W)
        small = self.rows @ (frames.float() / BRIGHTEST) @ self.columns.T
        return small.flatten(1)


class _MotionEnergy(nn.Module):
    """`motion_energy`, of clips of one size."""

    def __init__(self, sampling: FrameSampling) -> None:
        super().__init__()
        self.times: Tensor
        self.rows: Tensor
        self.columns: Tensor
        self.register_buffer("times", _areas(sampling.num_frames - 1, MOTION_BINS))
        self.register_buffer("rows", _areas(sampling.height, MOTION_GRID))
        self.register_buffer("columns", _areas(sampling.width, MOTION_GRID))

    def forward(self, video: Tensor) -> Tensor:
        grey = video.float().mean(dim=-1) / BRIGHTEST  # (B, T, H, W)
        change = (grey[:, 1:] - grey[:, :-1]).abs()
        small = self.rows @ change @ self.columns.T  # (B, T - 1, 8, 8)
        return (self.times @ small.flatten(2)).flatten(1)


PLAIN_GRAPHS: Mapping[str, Callable[[FrameSampling], nn.Module]] = {
    "pixels": _Pixels,
    "motion-energy": _MotionEnergy,
}
"""What has no network, as modules that have an ONNX form: as `encoders.PLAIN`."""


class _Classifier(nn.Module):
    """`Taught.answer`, in float64 as there."""

    def __init__(self, taught: Taught) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.coef: Tensor
        self.intercept: Tensor
        self.known: Tensor
        self.temperature: Tensor
        self.threshold: Tensor
        for name in ("mean", "scale", "coef", "intercept"):
            self.register_buffer(name, torch.from_numpy(getattr(taught.model, name)))
        self.register_buffer("known", torch.from_numpy(taught.known))
        self.num_classes = len(taught.facts.classes)
        # As tensors: the exporter rounds Python's numbers to float32.
        threshold = torch.inf if taught.threshold is None else taught.threshold
        for name, number in (("temperature", taught.facts.temperature), ("threshold", threshold)):
            self.register_buffer(name, torch.tensor(number, dtype=torch.float64))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scores = ((features.double() - self.mean) / self.scale) @ self.coef.T + self.intercept
        logits = scores / self.temperature  # (B, K')
        of_classes = logits[:, : self.num_classes]
        top = of_classes.amax(dim=1, keepdim=True)
        is_best = torch.arange(logits.shape[1]) == of_classes.argmax(dim=1, keepdim=True)
        others = logits.masked_fill(is_best, -torch.inf)
        highest = others.amax(dim=1, keepdim=True)
        against = highest + (others - highest).exp().sum(dim=1, keepdim=True).log()
        unlike = (against - top)[:, 0]
        at_least = (self.known >= unlike[:, None]).sum(dim=1)
        typical = (at_least + 1).double() / (len(self.known) + 1)
        return of_classes.softmax(dim=1), unlike, typical, unlike > self.threshold

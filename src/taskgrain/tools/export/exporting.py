"""A checkpoint as ONNX: encoder with head, and the caption decoder step by step.

Every graph is run beside PyTorch before it is kept; what differs by more than the tolerance is not.

Shapes: B clips, T frames, T' steps, H W pixels, D width, K classes, V vocabulary.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taskgrain.checkpoint import load_model
from taskgrain.data.files import check_writable
from taskgrain.data.sampling import FrameSampling, decode_stored, see
from taskgrain.decoding import greedy
from taskgrain.labels.vocabulary import BOS
from taskgrain.models.decoder import CaptionDecoder, DecoderState, Memory
from taskgrain.models.model import SourceModel
from taskgrain.models.weights import find_checkpoint
from taskgrain.randomness import generator_for
from taskgrain.teaching.taught import is_taught
from taskgrain.tools.export.graphs import (
    ENCODER,
    EXAMPLE_BATCH,
    MADE_CLIPS,
    START,
    STEP,
    TOLERANCE,
    Exported,
    check_packages,
    check_tolerance,
    compare,
    keep,
    open_session,
    run_graph,
    write_graph,
)
from taskgrain.tools.export.taught import export_taught


def export_model(
    checkpoint: Path | str,
    out: Path | str,
    *,
    clips: Sequence[Path | str] = (),
    tolerance: float = TOLERANCE,
    encoder: nn.Module | None = None,
) -> Exported:
    """Write a model as ONNX graphs, checked against PyTorch, with its model.json beside them.

    What was taught is written by `export_taught`; of a study's checkpoint,
    `encoder.onnx` takes video, uint8 (B, T, H, W, 3), and gives features, float32 (B, T', D), and
    with a head log_probs, float32 (B, K). With a decoder, `decoder_start.onnx` takes features and
    gives the state before BOS; `decoder_step.onnx` takes token, int64 (B,), and the state, and
    gives logits, float32 (B, V), and what of the state has changed. B is free. Nothing is
    written unless everything agrees.

    Args:
        checkpoint: as `load_model` takes it, or a folder that `teach` wrote.
        out: a folder; files of these names in it are replaced.
        clips: videos to check on; none: clips of noise.
        tolerance: largest absolute difference allowed.
        encoder: for a checkpoint of your own encoder; see `load_model`.

    Raises:
        ConfigError: if a package of the extra `export` is missing, `out` cannot be written, or
            the tolerance is no number from 0.
        CheckpointError: if the checkpoint cannot be loaded or exported, or differs from PyTorch.
        ClipError: if a clip cannot be decoded.
    """
    check_tolerance(tolerance)
    if is_taught(Path(checkpoint)):
        return export_taught(Path(checkpoint), Path(out), clips=clips, tolerance=tolerance)
    checkpoint, out = find_checkpoint(checkpoint), Path(out)
    check_packages()
    check_writable(out / "model.json")  # before the graphs are traced, not after
    model, description = load_model(checkpoint, encoder=encoder)
    videos = _videos(clips, description.sampling)
    # Into a scratch folder: nothing is written where the graphs turn out to differ.
    with tempfile.TemporaryDirectory() as scratch:
        graphs = _write_graphs(model, videos[:1], Path(scratch))
        differences, captions_equal = _check(model, graphs, videos)
        exported = Exported(
            str(out),
            tuple(sorted(path.name for path in Path(scratch).iterdir())),
            tolerance,
            differences,
            captions_equal,
            len(videos),
            "clips" if clips else "noise",
        )
        keep(exported, checkpoint, Path(scratch))
    return exported


def _videos(clips: Sequence[Path | str], sampling: FrameSampling) -> NDArray[np.uint8]:
    """Return what the model sees of each clip: uint8 (N, T, H, W, 3)."""
    if not clips:
        shape = (MADE_CLIPS, sampling.num_frames, sampling.height, sampling.width, 3)
        return generator_for(0, 0, "export").integers(0, 256, shape, dtype=np.uint8)
    seen = [see(decode_stored(Path(clip), sampling).frames, sampling) for clip in clips]
    return np.stack(seen)


class _Encoder(nn.Module):
    """Video to features and, with a head, log-probabilities."""

    def __init__(self, model: SourceModel) -> None:
        super().__init__()
        self.encoder, self.head = model.encoder, model.head

    def forward(self, video: Tensor) -> tuple[Tensor, ...]:
        features: Tensor = self.encoder(video).float()
        return (features,) if self.head is None else (features, self.head(features))


class _Start(nn.Module):
    """Features to the tensors of the decoder's first state."""

    def __init__(self, decoder: CaptionDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        return tuple(_tensors(self.decoder.start(features)).values())


class _Step(nn.Module):
    """A token and the state's tensors to logits and the two tensors that change."""

    def __init__(self, decoder: CaptionDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, token: Tensor, *state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, after = self.decoder.step(token, _state(state))
        return logits, after.hidden, after.cell


def _tensors(state: DecoderState) -> dict[str, Tensor]:
    """Lay a state out as named tensors."""
    tensors = {"condition": state.condition, "hidden": state.hidden, "cell": state.cell}
    if state.memory is not None:
        tensors |= {"memory_values": state.memory.values, "memory_keys": state.memory.keys}
    return tensors


def _state(tensors: Sequence[Tensor]) -> DecoderState:
    """Put a state together again from the tensors of `_tensors`, in their order."""
    condition, hidden, cell, *memory = tensors
    return DecoderState(condition, hidden, cell, Memory(*memory) if memory else None)


BATCH_AXES = {"hidden": 1, "cell": 1}  # of (R, B, P); every other tensor has B first


def _write_graphs(model: SourceModel, video: NDArray[np.uint8], folder: Path) -> dict[str, Path]:
    """Write the graphs that the model has: name -> file."""
    clip = torch.from_numpy(video).repeat(EXAMPLE_BATCH, 1, 1, 1, 1)
    outputs = ["features"] if model.head is None else ["features", "log_probs"]
    graphs = {ENCODER: folder / ENCODER}
    write_graph(_Encoder(model), {"video": clip}, outputs, graphs[ENCODER])
    if model.decoder is None:
        return graphs
    with torch.no_grad():
        features = model.encoder(clip).float()
        # Copies: hidden and cell begin as one tensor, and the exporter would keep them one.
        state = {
            name: each.clone() for name, each in _tensors(model.decoder.start(features)).items()
        }
    graphs |= {START: folder / START, STEP: folder / STEP}
    write_graph(_Start(model.decoder), {"features": features}, list(state), graphs[START])
    token = torch.full((EXAMPLE_BATCH,), BOS, dtype=torch.long)
    changed = ["logits", "next_hidden", "next_cell"]
    inputs = {"token": token, **state}
    write_graph(_Step(model.decoder), inputs, changed, graphs[STEP], batch_axes=BATCH_AXES)
    return graphs


def _check(
    model: SourceModel, graphs: Mapping[str, Path], videos: NDArray[np.uint8]
) -> tuple[dict[str, float], bool | None]:
    """Run every graph beside PyTorch: the largest differences, and whether captions are equal."""
    sessions = {name: open_session(path) for name, path in graphs.items()}
    differences: dict[str, float] = {}
    equal: list[bool] = []
    for video in (videos, videos[:1]):  # two sizes, as the batch is free
        with torch.inference_mode():
            features = model.encoder(torch.from_numpy(video)).float()
            wanted = {"features": features}
            if model.head is not None:
                wanted["log_probs"] = model.head(features)
            ours = run_graph(sessions[ENCODER], {"video": torch.from_numpy(video)})
            compare(differences, wanted, ours)
            if model.decoder is not None:
                equal.append(_check_decoder(model.decoder, sessions, ours, features, differences))
    return differences, all(equal) if equal else None


def _check_decoder(
    decoder: CaptionDecoder,
    sessions: Mapping[str, Any],
    exported: Mapping[str, Tensor],
    features: Tensor,
    differences: dict[str, float],
) -> bool:
    """Compare the state, every word's logits in PyTorch's captions, and the captions of both."""
    first = decoder.start(features)
    started = run_graph(sessions[START], {"features": exported["features"]})
    compare(differences, _tensors(first), started)

    def step(token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        tensors = _tensors(state)
        after = run_graph(sessions[STEP], {"token": token, **tensors})
        tensors |= {"hidden": after["next_hidden"], "cell": after["next_cell"]}
        return after["logits"], _state(list(tensors.values()))

    theirs = _state(list(started.values()))
    size, device = len(features), features.device
    decoded = greedy(decoder.step, first, batch_size=size, device=device)
    equal = torch.equal(decoded, greedy(step, theirs, batch_size=size, device=device))
    # Both are given PyTorch's words, and each goes on from its own state: what they differ by adds
    # up from word to word as it would in use.
    ours, token = first, torch.full((size,), BOS, dtype=torch.long)
    for following in decoded.T:
        wanted, ours = decoder.step(token, ours)
        logits, theirs = step(token, theirs)
        compare(differences, {"logits": wanted}, {"logits": logits})
        token = following
    return equal

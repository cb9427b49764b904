"""A checkpoint as ONNX: encoder with head, and the caption decoder step by step.

Every graph is run beside PyTorch before it is kept; what differs by more than the tolerance is not.

Shapes: B clips, T frames, T' steps, H W pixels, D width, K classes, V vocabulary.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taskgrain.checkpoint import load_model
from taskgrain.data.files import atomic_path, check_writable, write_text
from taskgrain.data.sampling import FrameSampling, decode_stored, see
from taskgrain.decoding import greedy
from taskgrain.errors import CheckpointError, ConfigError
from taskgrain.labels.vocabulary import BOS
from taskgrain.models.decoder import CaptionDecoder, DecoderState, Memory
from taskgrain.models.model import SourceModel
from taskgrain.models.weights import find_checkpoint
from taskgrain.randomness import generator_for

OPSET = 18
TOLERANCE = 1e-4  # largest difference allowed, in features, nats and logits
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
MADE_CLIPS = 4  # of noise, to check on where the user names no clip
EXAMPLE_BATCH = 2  # of the clips that the graph is traced with; 1 would be taken for fixed
WEIGHTS = ".data"  # what torch adds to the name of a graph for the file of its weights
ENCODER, START, STEP = "encoder.onnx", "decoder_start.onnx", "decoder_step.onnx"


@dataclass(frozen=True, slots=True)
class Exported:
    """The written files, and their largest differences from PyTorch."""

    folder: str
    files: tuple[str, ...]
    tolerance: float
    largest_difference: Mapping[str, float]  # output -> over all clips checked, absolute
    captions_equal: bool | None  # whether greedy captions agree word for word; None without any
    num_clips: int  # that were checked
    checked_on: str  # "clips" of the user's, or "noise"


def export_model(
    checkpoint: Path | str,
    out: Path | str,
    *,
    clips: Sequence[Path | str] = (),
    tolerance: float = TOLERANCE,
    encoder: nn.Module | None = None,
) -> Exported:
    """Write a checkpoint as ONNX graphs, checked against PyTorch, with its model.json beside them.

    `encoder.onnx` takes video, uint8 (B, T, H, W, 3), and gives features, float32 (B, T', D), and
    with a head log_probs, float32 (B, K). With a decoder, `decoder_start.onnx` takes features and
    gives the state before BOS; `decoder_step.onnx` takes token, int64 (B,), and the state, and
    gives logits, float32 (B, V), and what of the state has changed. B is free. Nothing is
    written unless everything agrees.

    Args:
        checkpoint: as `load_model` takes it.
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
    checkpoint, out = find_checkpoint(checkpoint), Path(out)
    _check_tolerance(tolerance)
    _check_packages()
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
        _refuse_differences(checkpoint, exported)
        stored = json.loads((checkpoint / "model.json").read_text(encoding="utf-8"))
        facts = {key: value for key, value in asdict(exported).items() if key != "folder"}
        stored["onnx"] = {"opset": OPSET, **facts}
        text = json.dumps(stored, indent=1, allow_nan=False) + "\n"
        _put(Path(scratch), out)
        write_text(out / "model.json", text)
    return exported


def _put(scratch: Path, out: Path) -> None:
    """Copy the graphs, and the weights beside a graph that is too large to hold them itself."""
    for graph in (ENCODER, START, STEP):
        for name in (graph, graph + WEIGHTS):
            if not (scratch / name).exists():  # that of another checkpoint, perhaps
                (out / name).unlink(missing_ok=True)
    # Weights first, so that a graph which is there finds its own.
    for path in sorted(scratch.iterdir(), key=lambda path: path.suffix == ".onnx"):
        with atomic_path(out / path.name) as temporary:
            shutil.copyfile(path, temporary)


def _check_tolerance(tolerance: float) -> None:
    if not 0 <= tolerance < math.inf:
        raise ConfigError(
            f"tolerance: found {tolerance:g}; expected a number from 0, as {TOLERANCE:g}"
        )


def _check_packages() -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"exporting needs {', '.join(missing)}; install them: pip install 'taskgrain[export]'"
        )


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


BATCH_AXIS = {"hidden": 1, "cell": 1}  # of (R, B, P); every other tensor has B first


def _write_graphs(model: SourceModel, video: NDArray[np.uint8], folder: Path) -> dict[str, Path]:
    """Write the graphs that the model has: name -> file."""
    clip = torch.from_numpy(video).repeat(EXAMPLE_BATCH, 1, 1, 1, 1)
    outputs = ["features"] if model.head is None else ["features", "log_probs"]
    graphs = {ENCODER: folder / ENCODER}
    _write(_Encoder(model), {"video": clip}, outputs, graphs[ENCODER])
    if model.decoder is None:
        return graphs
    with torch.no_grad():
        features = model.encoder(clip).float()
        # Copies: hidden and cell begin as one tensor, and the exporter would keep them one.
        state = {
            name: each.clone() for name, each in _tensors(model.decoder.start(features)).items()
        }
    graphs |= {START: folder / START, STEP: folder / STEP}
    _write(_Start(model.decoder), {"features": features}, list(state), graphs[START])
    token = torch.full((EXAMPLE_BATCH,), BOS, dtype=torch.long)
    changed = ["logits", "next_hidden", "next_cell"]
    _write(_Step(model.decoder), {"token": token, **state}, changed, graphs[STEP])
    return graphs


def _write(
    module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], path: Path
) -> None:
    """Trace a module with a free batch size and write it as ONNX."""
    batch = torch.export.Dim("batch", min=1, max=4096)
    # `_Step` takes the state as *state: torch.export wants the axes of these in one tuple.
    axes = tuple({BATCH_AXIS.get(name, 0): batch} for name in inputs)
    with _silence():
        try:
            program = torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=axes if len(inputs) == 1 else (axes[0], axes[1:]),
                opset_version=OPSET,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise CheckpointError(
                f"{path.name}: this network has no ONNX form: {str(error).splitlines()[0]}"
            ) from error
        assert program is not None, "the dynamo exporter gives a program"
        program.save(str(path))


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's own warnings and log lines from the user; what matters is checked."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _check(
    model: SourceModel, graphs: Mapping[str, Path], videos: NDArray[np.uint8]
) -> tuple[dict[str, float], bool | None]:
    """Run every graph beside PyTorch: the largest differences, and whether captions are equal."""
    sessions = {name: _session(path) for name, path in graphs.items()}
    differences: dict[str, float] = {}
    equal: list[bool] = []
    for video in (videos, videos[:1]):  # two sizes, as the batch is free
        with torch.inference_mode():
            features = model.encoder(torch.from_numpy(video)).float()
            wanted = {"features": features}
            if model.head is not None:
                wanted["log_probs"] = model.head(features)
            ours = _run(sessions[ENCODER], {"video": torch.from_numpy(video)})
            _compare(differences, wanted, ours)
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
    started = _run(sessions[START], {"features": exported["features"]})
    _compare(differences, _tensors(first), started)

    def step(token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        tensors = _tensors(state)
        after = _run(sessions[STEP], {"token": token, **tensors})
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
        _compare(differences, {"logits": wanted}, {"logits": logits})
        token = following
    return equal


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(path), sess_options=options, providers=["CPUExecutionProvider"]
    )


def _run(session: Any, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = [each.name for each in session.get_outputs()]
    found = session.run(names, {name: tensor.numpy() for name, tensor in inputs.items()})
    return {name: torch.from_numpy(each) for name, each in zip(names, found, strict=True)}


def _compare(
    differences: dict[str, float], wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> None:
    """Keep the largest difference of every output; one that is not a number stays."""
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            raise CheckpointError(
                f"the exported {name} have shape {tuple(found[name].shape)}; PyTorch gives "
                f"{tuple(tensor.shape)}. Nothing was written; please report this"
            )
        here = float((tensor - found[name]).abs().max())
        differences[name] = float(np.maximum(differences.get(name, 0.0), here))  # NaN wins


def _refuse_differences(checkpoint: Path, exported: Exported) -> None:
    far = {
        name: value
        for name, value in exported.largest_difference.items()
        if not value <= exported.tolerance  # NaN is not within it either
    }
    if far:
        listed = ", ".join(f"{name} by {value:.2g}" for name, value in far.items())
        raise CheckpointError(
            f"{checkpoint}: the exported graphs differ from PyTorch: {listed}; allowed is "
            f"{exported.tolerance:g}. Nothing was written; --tolerance allows more"
        )
    if exported.captions_equal is False:
        raise CheckpointError(
            f"{checkpoint}: the exported decoder says other captions than PyTorch though its "
            "numbers agree: two words are all but equally probable. Nothing was written; check "
            "on other clips"
        )

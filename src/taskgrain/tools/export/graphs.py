"""What every graph goes through: written, run beside PyTorch, compared, and only then kept.

Shapes: B clips.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from taskgrain.data.files import atomic_path, write_text
from taskgrain.errors import CheckpointError, ConfigError

OPSET = 18
TOLERANCE = 1e-4  # largest difference allowed, in features, nats and logits
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
MADE_CLIPS = 4  # of noise, to check on where the user names no clip
EXAMPLE_BATCH = 2  # of the clips that the graph is traced with; 1 would be taken for fixed
WEIGHTS = ".data"  # what torch adds to the name of a graph for the file of its weights
ENCODER, START, STEP = "encoder.onnx", "decoder_start.onnx", "decoder_step.onnx"
CLASSIFIER = "classifier.onnx"  # of a taught model
GRAPHS = (ENCODER, START, STEP, CLASSIFIER)


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
    answers_equal: bool | None = None  # whether verdicts and labels agree; None: was not taught


def check_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that is no number from 0.

    Raises:
        ConfigError: naming it.
    """
    if not 0 <= tolerance < math.inf:
        raise ConfigError(
            f"tolerance: found {tolerance:g}; expected a number from 0, as {TOLERANCE:g}"
        )


def check_packages() -> None:
    """Refuse to begin without the packages of the extra `export`.

    Raises:
        ConfigError: naming those that are missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"exporting needs {', '.join(missing)}; install them: pip install 'taskgrain[export]'"
        )


def write_graph(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    *,
    batch_axes: Mapping[str, int] | None = None,
) -> None:
    """Trace a module with a free batch size and write it as ONNX.

    Args:
        module: whose `forward` takes the first input, and all others as *others.
        inputs: by their names in the graph, of two clips.
        outputs: names of what it returns.
        path: of the graph.
        batch_axes: of the inputs whose axis of clips is not the first.

    Raises:
        CheckpointError: if the module has no ONNX form.
    """
    batch = torch.export.Dim("batch", min=1, max=4096)
    axes = tuple({(batch_axes or {}).get(name, 0): batch} for name in inputs)
    with _silence():
        try:
            program = torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=list(outputs),
                # torch.export wants the axes of *others in one tuple.
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


def open_session(path: Path) -> Any:
    """Open a graph in onnxruntime, on one thread of the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(path), sess_options=options, providers=["CPUExecutionProvider"]
    )


def run_graph(session: Any, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run a graph: its outputs by their names."""
    names = [each.name for each in session.get_outputs()]
    found = session.run(names, {name: tensor.numpy() for name, tensor in inputs.items()})
    return {name: torch.from_numpy(each) for name, each in zip(names, found, strict=True)}


def compare(
    differences: dict[str, float], wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> None:
    """Keep the largest difference of every output; one that is not a number stays.

    Args:
        differences: output -> largest difference so far, which is updated.
        wanted: outputs of PyTorch.
        found: outputs of the graph.

    Raises:
        CheckpointError: if an output has another shape.
    """
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            raise CheckpointError(
                f"the exported {name} have shape {tuple(found[name].shape)}; PyTorch gives "
                f"{tuple(tensor.shape)}. Nothing was written; please report this"
            )
        here = float((tensor - found[name]).abs().max())
        differences[name] = float(np.maximum(differences.get(name, 0.0), here))  # NaN wins


def refuse_differences(checkpoint: Path, exported: Exported) -> None:
    """Refuse graphs that are further from PyTorch than the tolerance allows.

    Raises:
        CheckpointError: naming the outputs and how far they are.
    """
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
    if exported.answers_equal is False:
        raise CheckpointError(
            f"{checkpoint}: the exported graphs answer otherwise than PyTorch though their numbers "
            "agree: a clip lies between two answers. Nothing was written; check on other clips"
        )


def keep(
    exported: Exported, model: Path, scratch: Path, facts: Mapping[str, object] | None = None
) -> None:
    """Keep graphs that agree with PyTorch, with the model's model.json beside them.

    Args:
        exported: what was checked.
        model: folder of the checkpoint or the taught model.
        scratch: folder of the graphs.
        facts: more for the entry `onnx` of model.json.

    Raises:
        CheckpointError: if they do not agree; nothing is written then.
    """
    refuse_differences(model, exported)
    stored = json.loads((model / "model.json").read_text(encoding="utf-8"))
    checked = {key: value for key, value in asdict(exported).items() if key != "folder"}
    stored["onnx"] = {"opset": OPSET, **checked, **(facts or {})}
    text = json.dumps(stored, indent=1, allow_nan=False) + "\n"
    out = Path(exported.folder)
    put(scratch, out)
    write_text(out / "model.json", text)


def put(scratch: Path, out: Path) -> None:
    """Copy the graphs, and the weights beside a graph that is too large to hold them itself."""
    for graph in GRAPHS:
        for name in (graph, graph + WEIGHTS):
            if not (scratch / name).exists():  # that of another checkpoint, perhaps
                (out / name).unlink(missing_ok=True)
    # Weights first, so that a graph which is there finds its own.
    for path in sorted(scratch.iterdir(), key=lambda path: path.suffix == ".onnx"):
        with atomic_path(out / path.name) as temporary:
            shutil.copyfile(path, temporary)

"""Weights on disk: safetensors only, whole or not at all.

A network whose weights are read from a file next is built without drawing its first ones
(`FirstWeightsLeftOut`).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from taskgrain.data.files import atomic_path
from taskgrain.errors import CheckpointError, list_problems

BELOW = ("*", "*/*", "checkpoints/*/*")  # where trainings keep checkpoints: themselves, a run
OS_ERROR = re.compile(r"os error (\d+)")  # as safetensors words what the system refused
LeftOut = tuple[str, ...]
"""Names of stored weights that were not taken."""

DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def find_checkpoint(folder: Path | str) -> Path:
    """Find a checkpoint folder: the folder itself, or the only one in it.

    Of a training, its last checkpoint is taken before its best, as transfer does by default.

    Args:
        folder: a checkpoint, a run, or what lies between them; one without any is returned.

    Raises:
        CheckpointError: naming the checkpoints to choose from, if there are several.
    """
    folder = Path(folder)
    if (folder / "model.json").is_file():
        return folder
    trainings = {
        path.parents[1]
        for where in BELOW
        for path in folder.glob(f"{where}/model.json")
        if ".passes-" not in path.parents[1].name  # scored, and not tested
    }
    checkpoints = [
        next(path for path in (training / "last", training / "best", training) if path.is_dir())
        for training in sorted(trainings)
    ]
    if len(checkpoints) > 1:
        raise CheckpointError(
            f"{folder}: no checkpoint, but it holds {len(checkpoints)}; give one of them:\n"
            f"{list_problems([str(path) for path in checkpoints])}"
        )
    return checkpoints[0] if checkpoints else folder


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's parameters and buffers; at no moment is half a file under that name."""
    with atomic_path(path) as temporary:
        save_tensors(to_store(module.state_dict()), temporary)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as a safetensors file.

    Raises:
        OSError: if they cannot be written, as on a full disk.
    """
    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:
        # safetensors keeps of an error of the system only its text, with the number in it.
        number = OS_ERROR.search(str(error))
        if number is None:
            raise OSError(f"{path}: cannot be written: {error}") from error
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill a module with stored weights; names, shapes and dtypes are compared beforehand.

    Raises:
        CheckpointError: if the file is missing, is no safetensors file, differs from the module,
            or holds a NaN or an infinite number; it names the first weight that does. The module is
            then as it was.
    """
    load_part(module, path, prefix="")


def check_fit(module: nn.Module, path: Path) -> None:
    """Compare names, shapes and dtypes with stored weights, of which none is read.

    Args:
        module: on any device; on "meta" it takes no memory, whatever its shape.
        path: of the weights.

    Raises:
        CheckpointError: as `load_weights`, but for NaN and infinite numbers.
    """
    _check_header(module.state_dict(), path, prefix="")


def refuse_not_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that are NaN or infinite: everything computed from them would be too.

    Raises:
        CheckpointError: naming the first such weight, in the order given.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            number = int((~torch.isfinite(tensor)).sum())
            raise CheckpointError(
                f"{path}: {number} of the {tensor.numel()} numbers of weight {name} are infinite "
                "or not a number; take a checkpoint of before that, or train anew"
            )


def load_part(module: nn.Module, path: Path, prefix: str) -> LeftOut:
    """Fill a module with one part of stored weights, or leave it as it was if they do not fit.

    Args:
        module: a part of a model, such as its encoder.
        path: weights of a whole model.
        prefix: what the names of the part begin with there, as "encoder.".

    Returns:
        The names of the stored weights that are no part of it, in alphabetical order.

    Raises:
        CheckpointError: as `load_weights`, comparing the weights under the prefix alone.
    """
    expected = {prefix + name: tensor for name, tensor in module.state_dict().items()}
    left_out = _check_header(expected, path, prefix)
    stored = {name: tensor for name, tensor in read_tensors(path).items() if name in expected}
    refuse_not_finite(stored, path)
    module.load_state_dict(
        {name.removeprefix(prefix): tensor for name, tensor in stored.items()}, strict=True
    )
    return left_out


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file into memory of their own, on the CPU.

    Raises:
        CheckpointError: if the file is missing or is no whole safetensors file.
    """
    with _opened(path) as file:
        # Tensors of a mapped file would change when the file does.
        return {name: file.get_tensor(name).clone() for name in sorted(file.keys())}


def read_arrays(
    path: Path, shapes: Mapping[str, tuple[int | None, ...]]
) -> dict[str, NDArray[np.float64]]:
    """Read the float64 tensors of a safetensors file whose names and shapes are known.

    Args:
        path: of the file.
        shapes: name -> shape; None stands for any size.

    Raises:
        CheckpointError: if the file is missing or not whole, or naming the first tensor that is
            missing, of another type or shape, NaN or infinite.
    """
    tensors = read_tensors(path)
    for name, shape in shapes.items():
        held = tensors.get(name)
        if held is not None and held.dtype == torch.float64 and held.ndim == len(shape):
            sizes = zip(shape, held.shape, strict=True)
            if all(wanted in (None, size) for wanted, size in sizes):
                continue
        what = "is missing" if held is None else f"is {held.dtype} {tuple(held.shape)}"
        raise CheckpointError(f"{path}: {name} {what}; expected float64 {shape}")
    refuse_not_finite(tensors, path)
    return {name: tensors[name].numpy() for name in shapes}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file, or raise CheckpointError; only its header is read by that."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from error


def to_store(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as safetensors takes them: on the CPU, contiguous, without a graph."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


# Frozen: stored features, and weights that are published, are known by this hash.
def weights_sha256(module: nn.Module) -> str:
    """Return the SHA-256 of a module's parameters and buffers: names, kinds, shapes and numbers."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        held = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(held.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _check_header(expected: Mapping[str, Tensor], path: Path, prefix: str) -> LeftOut:
    """Compare names, shapes and dtypes without reading any weight.

    Returns:
        The names without the prefix, in alphabetical order.

    Raises:
        CheckpointError: naming the first weight that differs.
    """
    with _opened(path) as file:
        # A slice reads the header alone: a wrong file of gigabytes is refused at once.
        slices = {name: file.get_slice(name) for name in sorted(file.keys())}
        stored = {name: (tuple(s.get_shape()), s.get_dtype()) for name, s in slices.items()}
    for name, tensor in expected.items():
        if name not in stored:
            raise CheckpointError(f"{path}: weight {name} is missing")
        shape, dtype = stored[name]
        if shape != tuple(tensor.shape):
            raise CheckpointError(
                f"{path}: weight {name} has shape {shape}; expected {tuple(tensor.shape)}"
            )
        if dtype != DTYPE_NAMES[tensor.dtype]:
            raise CheckpointError(
                f"{path}: weight {name} is {dtype}; expected {DTYPE_NAMES[tensor.dtype]}"
            )
    for name in stored:
        if name.startswith(prefix) and name not in expected:
            raise CheckpointError(f"{path}: weight {name} is not part of this model")
    return tuple(name for name in stored if not name.startswith(prefix))


# What those functions of torch.nn.init call that do not show themselves to the mode.
DRAWS = frozenset({Tensor.uniform_, Tensor.normal_, Tensor.erfinv_})


# Weights that a file overwrites need not be drawn: building the encoder of paper-ssv2 takes 6 ms of
# CPU time instead of 116.
class FirstWeightsLeftOut(TorchFunctionMode):
    """While entered, `torch.nn.init` draws no number for a parameter.

    Parameters then hold whatever the memory held, and must all be loaded. Buffers are filled as
    ever: some of them are no part of a checkpoint.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Compute a torch function, unless it would fill a parameter with first weights."""
        named = kwargs or {}
        if func in DRAWS or getattr(func, "__module__", None) == "torch.nn.init":
            filled = named.get("tensor", args[0] if args else None)
            if isinstance(filled, nn.Parameter):
                return filled
        return func(*args, **named)

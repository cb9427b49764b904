"""Weights on disk: safetensors only, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from taskgrain.data.files import atomic_path
from taskgrain.errors import CheckpointError

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
        raise OSError(f"{path}: cannot be written: {error}") from error


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill a module with stored weights; names, shapes and dtypes are compared beforehand.

    Raises:
        CheckpointError: if the file is missing, is no safetensors file, or differs from the
            module; it names the first weight that does. The module is then as it was.
    """
    expected = module.state_dict()
    _check_header(expected, path)
    module.load_state_dict(read_tensors(path), strict=True)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file into memory of their own, on the CPU.

    Raises:
        CheckpointError: if the file is missing or is no whole safetensors file.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from error


def to_store(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors as safetensors takes them: on the CPU, contiguous, without a graph."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _check_header(expected: Mapping[str, Tensor], path: Path) -> None:
    """Compare names, shapes and dtypes without reading any weight."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            for name, tensor in expected.items():
                if name not in found:
                    raise CheckpointError(f"{path}: weight {name} is missing")
                shape, dtype = tuple(found[name].get_shape()), found[name].get_dtype()
                if shape != tuple(tensor.shape):
                    raise CheckpointError(
                        f"{path}: weight {name} has shape {shape}; expected {tuple(tensor.shape)}"
                    )
                if dtype != DTYPE_NAMES[tensor.dtype]:
                    raise CheckpointError(
                        f"{path}: weight {name} is {dtype}; expected {DTYPE_NAMES[tensor.dtype]}"
                    )
            for name in found:
                if name not in expected:
                    raise CheckpointError(f"{path}: weight {name} is not part of this model")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from error

"""Reading the stored shape of a network: every entry is checked where it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from taskgrain.errors import CheckpointError
from taskgrain.models.channels import ChannelShape, ConvLayer, Reduction
from taskgrain.models.inputs import CHANNEL_INPUTS

LARGEST = 1e30  # of a stored number: it and its inverse are float32's with room to spare
Choice = TypeVar("Choice", bound=str)
REDUCTIONS: tuple[Reduction, ...] = ("max", "mean")


def entry_of(entries: Mapping[str, object], key: str) -> Mapping[str, object]:
    """Give the JSON object under a key, or raise CheckpointError."""
    value = entries.get(key)
    if not isinstance(value, Mapping):
        raise CheckpointError(f"stored shape: {key} is {value!r}; expected a JSON object")
    return value


def number_of(entries: Mapping[str, object], key: str) -> float:
    """Give the number under a key, or raise CheckpointError."""
    value = entries.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        raise CheckpointError(f"stored shape: {key} is {value!r}; expected a number")
    return float(value)


def positive_of(entries: Mapping[str, object], key: str) -> float:
    """Return the finite number above 0 under a key, or raise CheckpointError."""
    value = number_of(entries, key)
    if not value > 1 / LARGEST:
        raise CheckpointError(f"stored shape: {key} is {value!r}; expected a number above 0")
    return value


def whole_number_of(entries: Mapping[str, object], key: str, *, most: int | None = None) -> int:
    """Give the integer, 0 to `most`, under a key, or raise CheckpointError."""
    value = entries.get(key)
    too_large = isinstance(value, int) and most is not None and value > most
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or too_large:
        limits = "0 or more" if most is None else f"0 to {most}"
        raise CheckpointError(f"stored shape: {key} is {value!r}; expected an integer, {limits}")
    return value


def _at_least_one(entries: Mapping[str, object], key: str) -> int:
    value = whole_number_of(entries, key)
    if value < 1:
        raise CheckpointError(f"stored shape: {key} is {value!r}; expected an integer, 1 or more")
    return value


def truth_of(entries: Mapping[str, object], key: str) -> bool:
    """Give the truth value under a key, or raise CheckpointError."""
    value = entries.get(key)
    if not isinstance(value, bool):
        raise CheckpointError(f"stored shape: {key} is {value!r}; expected true or false")
    return value


def choice_of(entries: Mapping[str, object], key: str, known: tuple[Choice, ...]) -> Choice:
    """Give the one of the known names that stands under a key, or raise CheckpointError."""
    value = entries.get(key)
    for name in known:
        if value == name:
            return name
    expected = " or ".join(map(repr, known))
    raise CheckpointError(f"stored shape: {key} is {value!r}; expected {expected}")


def channel_from_json(entries: Mapping[str, object]) -> ChannelShape:
    """Read the shape of a channel, or raise CheckpointError."""
    layers = entries.get("layers")
    if not isinstance(layers, list | tuple):
        raise CheckpointError(f"stored shape: layers is {layers!r}; expected a list")
    return ChannelShape(
        layers=tuple(_layer(layer) for layer in layers),
        temporal_kernel=whole_number_of(entries, "temporal_kernel"),
        frame_stride=_at_least_one(entries, "frame_stride"),
        reduction=choice_of(entries, "reduction", REDUCTIONS),
        input=choice_of(entries, "input", CHANNEL_INPUTS),
    )


def _layer(layer: object) -> ConvLayer:
    if not isinstance(layer, Mapping):
        raise CheckpointError(f"stored shape: a layer is {layer!r}; expected a JSON object")
    return ConvLayer(
        width=whole_number_of(layer, "width"),
        stride=_triple(layer, "stride", least=1),
        padding=_triple(layer, "padding", least=0),
        pool=_triple(layer, "pool", least=1),
    )


def _triple(layer: Mapping[str, object], key: str, *, least: int) -> tuple[int, int, int]:
    value = layer.get(key)
    if isinstance(value, list | tuple) and len(value) == 3:
        time, height, width = value
        if all(isinstance(size, int) and size >= least for size in value):
            return (time, height, width)
    raise CheckpointError(
        f"stored shape: {key} is {value!r}; expected three integers, {least} or more"
    )

"""Reading the stored shape of an encoder: every entry is checked where it is read."""

from __future__ import annotations

from collections.abc import Mapping

from taskgrain.errors import CheckpointError
from taskgrain.models.channels import ChannelShape, ConvLayer, Reduction

REDUCTIONS: dict[object, Reduction] = {"max": "max", "mean": "mean"}


def entry_of(entries: Mapping[str, object], key: str) -> Mapping[str, object]:
    """Give the JSON object under a key, or raise CheckpointError."""
    value = entries.get(key)
    if not isinstance(value, Mapping):
        raise CheckpointError(f"encoder shape: {key} is {value!r}; expected a JSON object")
    return value


def number_of(entries: Mapping[str, object], key: str) -> float:
    """Give the number under a key, or raise CheckpointError."""
    value = entries.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CheckpointError(f"encoder shape: {key} is {value!r}; expected a number")
    return float(value)


def whole_number_of(entries: Mapping[str, object], key: str) -> int:
    """Give the integer, 0 or more, under a key, or raise CheckpointError."""
    value = entries.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise CheckpointError(f"encoder shape: {key} is {value!r}; expected an integer, 0 or more")
    return value


def channel_from_json(entries: Mapping[str, object]) -> ChannelShape:
    """Read the shape of a channel, or raise CheckpointError."""
    layers = entries.get("layers")
    if not isinstance(layers, list | tuple):
        raise CheckpointError(f"encoder shape: layers is {layers!r}; expected a list")
    reduction = REDUCTIONS.get(entries.get("reduction"))
    if reduction is None:
        raise CheckpointError(
            f"encoder shape: reduction is {entries.get('reduction')!r}; expected 'max' or 'mean'"
        )
    return ChannelShape(
        layers=tuple(_layer(layer) for layer in layers),
        temporal_kernel=whole_number_of(entries, "temporal_kernel"),
        frame_stride=whole_number_of(entries, "frame_stride"),
        reduction=reduction,
    )


def _layer(layer: object) -> ConvLayer:
    if not isinstance(layer, Mapping):
        raise CheckpointError(f"encoder shape: a layer is {layer!r}; expected a JSON object")
    return ConvLayer(
        width=whole_number_of(layer, "width"),
        stride=_triple(layer, "stride"),
        padding=_triple(layer, "padding"),
        pool=_triple(layer, "pool"),
    )


def _triple(layer: Mapping[str, object], key: str) -> tuple[int, int, int]:
    value = layer.get(key)
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise CheckpointError(f"encoder shape: {key} is {value!r}; expected three integers")
    time, height, width = value
    if not all(isinstance(size, int) for size in (time, height, width)):
        raise CheckpointError(f"encoder shape: {key} is {value!r}; expected three integers")
    return (time, height, width)

"""Video transformers of Hugging Face, their tokens averaged over the patches of each step.

Shapes: B clips, T frames, T' steps, P patches of a step, h w pixels, D width.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

import torch
from torch import Tensor, nn

from taskgrain.errors import ConfigError
from taskgrain.models.pretrained.encoder import Planes, Preparation, Trunk, planes_of
from taskgrain.models.pretrained.torchvision import torchvision_models

WHITE = 255.0
# Of a config: what nothing is built from, and the names of a classifier's classes.
NOT_STORED = ("_name_or_path", "transformers_version", "architectures", "id2label", "label2id")


@dataclass(frozen=True, slots=True)
class TokenOrder:
    """How a network lays out its tokens."""

    class_tokens: int  # before those of the patches
    time_first: bool  # all patches of the first step, then of the second; or the other way round


ORDERS: Mapping[str, TokenOrder] = {
    "vjepa2": TokenOrder(0, time_first=True),
    "videomae": TokenOrder(0, time_first=True),
    "vivit": TokenOrder(1, time_first=True),
    "timesformer": TokenOrder(1, time_first=False),
}
"""Of each model type that is known; of others all tokens are averaged as one step."""

UNUSED_PARTS: Mapping[str, str] = {"vjepa2": "predictor", "vivit": "pooler"}
"""The part of a model that its features do not need; it would be stored, and never trained."""


class LibraryConfig(Protocol):
    """A config as transformers has it."""

    def to_dict(self) -> dict[str, object]:
        """Return all its entries."""


class TokensOverTime(nn.Module):
    """A video transformer whose tokens become one vector a step."""

    def __init__(self, network: nn.Module, argument: str, order: TokenOrder | None, steps: int):
        super().__init__()
        self.network = network
        self._argument = argument
        self._order = order
        self._num_steps = steps

    def forward(self, frames: Tensor) -> Tensor:
        """Map float (B, T, 3, h, w) to (B, T', D)."""
        tokens = self.network(**{self._argument: frames}).last_hidden_state
        order = self._order
        if order is None:
            return tokens.mean(dim=1, keepdim=True)  # (B, 1, D)
        patches = tokens[:, order.class_tokens :]
        if order.time_first:
            return patches.unflatten(1, (self._num_steps, -1)).mean(dim=2)
        return patches.unflatten(1, (-1, self._num_steps)).mean(dim=1)


def new_network(config: Mapping[str, object]) -> nn.Module:
    """Build a model of a config, with weights of torch's generator as it stands.

    Raises:
        ConfigError: as `library_config`.
    """
    library = transformers_library()
    made = library_config(config)
    try:
        network = library.AutoModel.from_config(made, dtype=torch.float32)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"Hugging Face model {config.get('model_type')!r}: {error}") from error
    assert isinstance(network, nn.Module)
    return network


def trunk_of(config: Mapping[str, object], network: nn.Module) -> Trunk:
    """Take what gives the features out of a model.

    Raises:
        ConfigError: if it takes no video, or does not say its width.
    """
    kind = str(config["model_type"])
    order = ORDERS.get(kind)
    argument = str(network.main_input_name)
    width = _number(config, "hidden_size")
    if width is None:
        raise ConfigError(f'Hugging Face model {kind!r}: its config has no "hidden_size"')
    # No frame reaches it, but it would be stored, and change the hash of the weights.
    if kind in UNUSED_PARTS:
        setattr(network, UNUSED_PARTS[kind], None)
    if kind == "vjepa2":
        network = network.get_submodule("encoder")  # the whole would ask for its predictor
    # A token spans `tubelet_size` frames, two for most: there are that many times fewer steps.
    steps = num_frames_of(config) // (_number(config, "tubelet_size") or 1)
    return Trunk(TokensOverTime(network, argument, order, max(steps, 1)), width, "clips")


def num_frames_of(config: Mapping[str, object]) -> int:
    """Read how many frames a model takes.

    Raises:
        ConfigError: if it takes no video.
    """
    number = _number(config, "num_frames") or _number(config, "frames_per_clip")
    if number is None:
        raise ConfigError(
            f'Hugging Face model {config.get("model_type")!r}: its config has no "num_frames" '
            'and no "frames_per_clip", so it takes no video; V-JEPA 2, VideoMAE, TimeSformer and '
            "ViViT do"
        )
    return number


def preparation_of(
    model: str, config: Mapping[str, object], processor: Mapping[str, object] | None
) -> Preparation:
    """Read from a model's own files how its clips are prepared.

    Args:
        model: its name or folder, for error messages.
        config: of the model.
        processor: what its preprocessor_config.json says.

    Raises:
        ConfigError: if the files do not say it.
    """
    if processor is None:
        raise ConfigError(
            f"{model}: no preprocessor_config.json, so how its pixels are normalised is not known; "
            "put the one that belongs to its weights there"
        )
    height, width = _image_size(model, config, processor)
    scaled_height, scaled_width, keeps_aspect = _scaled(processor, height, width)
    mean, deviation = _normalisation(model, processor)
    return Preparation(
        height=height,
        width=width,
        scaled_height=scaled_height,
        scaled_width=scaled_width,
        keeps_aspect=keeps_aspect,
        mean=mean,
        deviation=deviation,
        num_frames=num_frames_of(config),
    )


def library_config(config: Mapping[str, object]) -> LibraryConfig:
    """Make transformers' own object of a config.

    Raises:
        ConfigError: if this version of transformers has no such model, or the config is no whole
            one.
    """
    library = transformers_library()
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise ConfigError('Hugging Face config without "model_type"')
    stored = {key: value for key, value in config.items() if key != "model_type"}
    try:
        made: LibraryConfig = library.AutoConfig.for_model(kind, **stored)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"Hugging Face model {kind!r}: {error}") from error
    return made


def stored_config(config: Mapping[str, object]) -> dict[str, object]:
    """Complete a config with the defaults of its kind, as JSON, so that it stays the same.

    Raises:
        ConfigError: as `library_config`.
    """
    whole = library_config(config).to_dict()
    return {key: value for key, value in whole.items() if key not in NOT_STORED}


def transformers_library() -> ModuleType:
    """Import and return `transformers`.

    Raises:
        ConfigError: if it is not installed, or cannot be imported.
    """
    if importlib.util.find_spec("transformers") is None:
        raise ConfigError('networks of Hugging Face need: pip install "taskgrain[huggingface]"')
    if importlib.util.find_spec("torchvision") is not None:
        torchvision_models()  # transformers imports it, and fails where it does
    try:
        library = importlib.import_module("transformers")
        importlib.import_module("transformers.modeling_utils")
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"transformers cannot be imported ({error}); "
            'pip install --upgrade "taskgrain[huggingface]"'
        ) from error
    return library


def _image_size(
    model: str, config: Mapping[str, object], processor: Mapping[str, object]
) -> tuple[int, int]:
    for value in (config.get("image_size"), config.get("crop_size"), processor.get("crop_size")):
        size = _pair(value)
        if size is not None:
            return size
    raise ConfigError(f'{model}: neither its "image_size" nor a "crop_size" says how large it sees')


def _scaled(processor: Mapping[str, object], height: int, width: int) -> tuple[int, int, bool]:
    """Return the size to which clips are scaled before the crop, and whether the aspect is kept.

    A shortest edge keeps it; what is then cut off the longer one was outside the crop anyway.
    """
    size = processor.get("size")
    if isinstance(size, Mapping) and isinstance(size.get("shortest_edge"), int):
        edge = max(int(size["shortest_edge"]), height, width)
        return edge, edge, True
    pair = _pair(size) or (height, width)
    return max(pair[0], height), max(pair[1], width), False


def _normalisation(model: str, processor: Mapping[str, object]) -> tuple[Planes, Planes]:
    """Compute mean and deviation of planes where white is 1, whatever the scale of the file."""
    # Pixels that are not rescaled stay from 0 to 255.
    factor = processor.get("rescale_factor", 1 / WHITE) if processor.get("do_rescale", True) else 1
    shift = 1.0 if processor.get("offset") is True else 0.0  # ViViT: levels from -1 to 1
    # The file means (level * factor - shift - mean) / deviation. With white at 1 the same is
    # (level / 255 - (mean + shift) / white) / (deviation / white), white = 255 * factor.
    white = WHITE * float(factor) if isinstance(factor, int | float) else 1.0
    mean: Planes = (0.0, 0.0, 0.0)
    deviation: Planes = (1.0, 1.0, 1.0)
    if processor.get("do_normalize", True):
        try:
            mean = planes_of(processor.get("image_mean"))
            deviation = planes_of(processor.get("image_std"))
        except ValueError as error:
            raise ConfigError(f"{model}: image_mean or image_std {error}") from None
    return (
        _each(mean, lambda level: (level + shift) / white),
        _each(deviation, lambda level: level / white),
    )


def _each(planes: Planes, change: Callable[[float], float]) -> Planes:
    red, green, blue = map(change, planes)
    return red, green, blue


def _number(config: Mapping[str, object], key: str) -> int | None:
    """Read a positive whole number, or the first of a list of them; None where there is none."""
    value = config.get(key)
    if isinstance(value, list | tuple) and value:
        value = value[0]
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _pair(value: object) -> tuple[int, int] | None:
    """Read a height and a width: one number, two, or an object that names them."""
    if isinstance(value, Mapping):
        value = [value.get("height"), value.get("width")]
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value, value]
    if isinstance(value, list | tuple) and len(value) == 2:
        height, width = value
        if isinstance(height, int) and isinstance(width, int):
            return height, width
    return None

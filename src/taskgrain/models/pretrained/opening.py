"""Open a pretrained encoder, or build one from its shape and a seed with drawn weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from taskgrain.errors import ConfigError
from taskgrain.models.pretrained import efficientnet_lite, huggingface, torchvision
from taskgrain.models.pretrained.encoder import Library, NetworkEncoder, NetworkShape, Trunk
from taskgrain.models.pretrained.stored import (
    EFFICIENTNET_LITE0,
    huggingface_config,
    huggingface_folder,
    huggingface_processor,
    load_huggingface,
    load_packaged,
    load_torchvision,
    packaged_file,
    require_huggingface_weights,
    torchvision_file,
)
from taskgrain.randomness import derive_seed

Weights = Literal["cached", "download", "random"]


@dataclass(frozen=True, slots=True)
class WantedNetwork:
    """Which network to open; `NetworkShape` is what is known of it afterwards."""

    network: Library
    model: str  # its name, or a Hugging Face model's folder
    weights: Weights = "cached"  # as on this machine, fetched if need be, or drawn
    single_frame: bool = False  # whether it sees the middle frame alone
    lstm_width: int = 0  # of an LSTM over its steps, in each direction; 0 leaves it out


def open_encoder(wanted: WantedNetwork, seed: int) -> tuple[NetworkEncoder, NetworkShape]:
    """Open an encoder; the seed is that of its LSTM, and of all weights where they are random.

    Nothing is fetched unless `wanted.weights` is "download".

    Raises:
        ConfigError: if there is no such network, its library is not installed, its files are not
            on this machine, or a single frame is wanted of a network that takes clips.
        CheckpointError: if its weights are not whole.
    """
    shape = shape_of(wanted)
    if wanted.weights == "random":
        return build_network(shape, seed), shape
    return as_encoder(shape, _pretrained(wanted, shape), seed), shape


def make_ready(wanted: WantedNetwork) -> None:
    """Find all files that a network needs, and fetch them if its weights are "download".

    Raises:
        ConfigError: as `open_encoder`, before a weight is read.
    """
    shape_of(wanted)
    if wanted.weights == "random":
        return
    download = wanted.weights == "download"
    match wanted.network:
        case "torchvision":
            torchvision_file(torchvision.published_address(wanted.model), download=download)
        case "huggingface":
            require_huggingface_weights(huggingface_folder(wanted.model, download=download))
        case "imagenet":
            packaged_file(EFFICIENTNET_LITE0)


def shape_of(wanted: WantedNetwork) -> NetworkShape:
    """Work out the shape of a network, without its weights.

    Raises:
        ConfigError: as `open_encoder`.
    """
    config: dict[str, object] = {}
    match wanted.network:
        case "torchvision":
            preparation = torchvision.published_preparation(wanted.model)
        case "imagenet":
            preparation = efficientnet_lite.preparation_of(wanted.model)
        case "huggingface":
            folder = huggingface_folder(wanted.model, download=wanted.weights == "download")
            config = huggingface.stored_config(huggingface_config(folder))
            processor = huggingface_processor(folder)
            preparation = huggingface.preparation_of(wanted.model, config, processor)
    is_video = wanted.network == "huggingface" or wanted.model in torchvision.VIDEO_LAYERS
    if wanted.single_frame and is_video:
        raise ConfigError(
            f"{wanted.model} takes clips, not single frames; single_frame is for an image network, "
            "as resnet50 of torchvision"
        )
    return NetworkShape(
        network=wanted.network,
        model=wanted.model,
        config=config,
        preparation=preparation,
        single_frame=wanted.single_frame,
        lstm_width=wanted.lstm_width,
    )


def _pretrained(wanted: WantedNetwork, shape: NetworkShape) -> nn.Module:
    download = wanted.weights == "download"
    if wanted.network == "huggingface":
        folder = huggingface_folder(wanted.model, download=download)
        unused = huggingface.UNUSED_PARTS.get(str(shape.config["model_type"]))
        config = huggingface.library_config(shape.config)
        return load_huggingface(config, folder, unused_part=unused)
    with torch.random.fork_rng(devices=[]):  # building draws weights that are overwritten
        network = new_network(shape)
    if wanted.network == "imagenet":
        load_packaged(network, EFFICIENTNET_LITE0)
    else:
        address = torchvision.published_address(wanted.model)
        load_torchvision(network, torchvision_file(address, download=download))
    return network


def build_network(shape: NetworkShape, seed: int) -> NetworkEncoder:
    """Build an encoder with the weights of a seed; global random numbers are left alone.

    Raises:
        ConfigError: if its library is not installed, or has no such network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "encoder", "network"))
        network = new_network(shape)
    return as_encoder(shape, network, seed)


def new_network(shape: NetworkShape) -> nn.Module:
    """Build a whole network, its head too, with weights of torch's generator as it stands.

    Raises:
        ConfigError: as `build_network`.
    """
    match shape.network:
        case "torchvision":
            return torchvision.new_network(shape.model)
        case "huggingface":
            return huggingface.new_network(shape.config)
        case "imagenet":
            return efficientnet_lite.new_network(shape.model)


def as_encoder(shape: NetworkShape, network: nn.Module, seed: int) -> NetworkEncoder:
    """Put a whole network behind our contract; the seed is that of the LSTM, if it has one."""
    with torch.random.fork_rng(devices=[]):
        # A stream of its own: the LSTM of a seed is the same whether the network's weights were
        # loaded or drawn.
        torch.default_generator.manual_seed(derive_seed(seed, "encoder", "lstm"))
        return NetworkEncoder(trunk_of(shape, network), shape)


def trunk_of(shape: NetworkShape, network: nn.Module) -> Trunk:
    """Take the head off a network of any library."""
    match shape.network:
        case "torchvision":
            return torchvision.trunk_of(shape.model, network)
        case "huggingface":
            return huggingface.trunk_of(shape.config, network)
        case "imagenet":
            return efficientnet_lite.trunk_of(network)

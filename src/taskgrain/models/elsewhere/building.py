"""From a network's shape and a seed to its encoder, with random weights; no file is read."""

from __future__ import annotations

import torch
from torch import nn

from taskgrain.models.elsewhere import efficientnet_lite, huggingface, torchvision
from taskgrain.models.elsewhere.encoder import NetworkEncoder, Trunk
from taskgrain.models.elsewhere.shape import NetworkShape
from taskgrain.models.seeds import derive_seed


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

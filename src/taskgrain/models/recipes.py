"""What a checkpoint's encoder is rebuilt from: our own shape, or that of a pretrained network.

`study.networks` opens a pretrained encoder with its weights by `pretrained.opening.open_encoder`,
which also returns its `NetworkShape`; everything else needs only what is here. It stands apart from
build.py, which the pretrained networks must not import.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from taskgrain.models.build import EncoderShape, build_encoder
from taskgrain.models.pretrained.encoder import NetworkShape
from taskgrain.models.pretrained.opening import build_network

EncoderRecipe = EncoderShape | NetworkShape


def recipe_from_json(entries: Mapping[str, object]) -> EncoderRecipe:
    """Read what the `to_json` of either shape returned; pretrained networks have "network".

    Raises:
        CheckpointError: if an entry is missing or is not what it should be.
    """
    if "network" in entries:
        return NetworkShape.from_json(entries)
    return EncoderShape.from_json(entries)


def build_from(recipe: EncoderRecipe, seed: int) -> nn.Module:
    """Build an encoder with the weights of a seed; no file is read, nothing is fetched.

    Raises:
        ConfigError: if a pretrained network needs a library that is not installed.
    """
    if isinstance(recipe, NetworkShape):
        return build_network(recipe, seed)
    return build_encoder(recipe, seed)

"""An encoder of the user's own: whether workers can make it, and by what it is known again."""

from __future__ import annotations

import hashlib
import inspect
from functools import partial

import torch
from torch import nn

from taskgrain.errors import ConfigError
from taskgrain.jobs.starting import why_not_importable
from taskgrain.study.inputs import EncoderFactory


def check_encoder_factory(encoder: EncoderFactory) -> None:
    """Refuse what worker processes could not make an encoder with, before any work.

    Raises:
        ConfigError: naming it, why workers cannot import it, and what to do.
    """
    if isinstance(encoder, nn.Module):
        raise ConfigError(
            f"encoder is a module, {type(encoder).__name__}; expected a function that makes one "
            "from a seed, for every source and seed begins with an encoder of its own"
        )
    if not callable(encoder):
        raise ConfigError(
            f"encoder is {encoder!r}; expected a function that makes a torch.nn.Module from a seed"
        )
    if not _takes_a_seed(encoder):
        raise ConfigError(
            f"encoder {factory_name(encoder)} cannot be called with one argument; expected a "
            "function of a seed (a whole number), as def make(seed)"
        )
    problem = why_not_importable(encoder)
    if problem is not None:
        raise ConfigError(
            f"encoder {factory_name(encoder)}: worker processes cannot import it: {problem}; "
            "define it with def at the top of a module (a .py file), and import it from there"
        )


def _takes_a_seed(encoder: EncoderFactory) -> bool:
    """Whether one argument fits; True for what does not tell its arguments."""
    try:
        signature = inspect.signature(encoder)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(0)
    except TypeError:
        return False
    return True


def identify_encoder(encoder: EncoderFactory, seed: int) -> str:
    """Name an encoder by where it is made and by the names and shapes of its weights.

    Raises:
        ConfigError: if it does not make a module.
    """
    with torch.random.fork_rng():
        made = encoder(seed)
    if not isinstance(made, nn.Module):
        raise ConfigError(
            f"encoder {factory_name(encoder)} made a {type(made).__name__}; expected a "
            "torch.nn.Module"
        )
    weights = made.state_dict()
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
    return f"{factory_name(encoder)} {digest.hexdigest()[:16]}"


def factory_name(encoder: object) -> str:
    """Name a function by its module, a partial by its function, an instance by its class."""
    if isinstance(encoder, partial):
        return factory_name(encoder.func)
    named = encoder if hasattr(encoder, "__qualname__") else type(encoder)
    return f"{named.__module__}.{named.__qualname__}"

"""Refuse bf16 on a CPU that computes a convolution of the study wrong, before anything is learned.

`train.precision` says what goes wrong. The comparison runs in its own process, which may crash.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Literal

import torch
from torch import nn

from taskgrain.errors import ConfigError, RunError
from taskgrain.jobs.starting import explain_death, starting_workers
from taskgrain.study.inputs import Inputs
from taskgrain.study.networks import new_encoder
from taskgrain.train.memory import kept_memory
from taskgrain.train.precision import LARGEST_ERROR, convolution_calls, gradient_errors

News = tuple[Literal["tries", "is wrong"], str] | None  # None: every layer was sound


def check_bf16(inputs: Inputs) -> None:
    """Compare each convolution's weight gradient in bf16 with float32's, at its real shape.

    Does nothing unless the study trains in bf16 on a CPU.

    Raises:
        ConfigError: naming the source, the layer, its error and what to set instead.
    """
    if inputs.precision != "bf16" or torch.device(inputs.device).type != "cpu":
        return
    for name in _trained_encoders(inputs):
        fault = layer_fault(partial(_make_encoder, inputs, name), _video_shape(inputs))
        if fault is not None:
            raise ConfigError(
                f'train.precision is "bf16", but this processor cannot train the encoder of '
                f"{'the study' if name is None else f'source {name!r}'} in it: {fault}; "
                'set train.precision = "fp32"'
            )


def layer_fault(make_encoder: Callable[[], nn.Module], video_shape: tuple[int, ...]) -> str | None:
    """Find the first layer that bf16 trains wrong here, in a process of its own.

    Args:
        make_encoder: of an importable module.
        video_shape: (B, T, H, W, 3) of a training batch.

    Returns:
        The layer and what is wrong with it; None if every layer is sound.

    Raises:
        RunError: if the process died before it tried a layer.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_try_layers, args=(theirs, make_encoder, video_shape))
    tried: str | None = None
    with starting_workers():
        process.start()
        theirs.close()
        try:
            while True:
                news: News = ours.recv()
                if news is None:
                    return None
                kind, tried = news
                if kind == "is wrong":
                    return tried
        except EOFError:
            process.join()
            if tried is None:
                raise RunError(explain_death([process.exitcode], None)) from None
            return f"the process ended with {process.exitcode} while it tried {tried}"
        finally:
            process.join()


def _try_layers(
    news: Connection, make_encoder: Callable[[], nn.Module], video_shape: tuple[int, ...]
) -> None:
    """Send the name of each layer before it is tried, and the first that is wrong."""
    torch.set_num_threads(1)  # as in a worker
    with news, kept_memory():
        video = torch.randint(0, 256, video_shape, dtype=torch.uint8)
        for call in convolution_calls(make_encoder().train(), video):
            news.send(("tries", str(call)))
            worst = max(gradient_errors(call))
            if not worst <= LARGEST_ERROR:
                fault = f"{call}: the weight gradient is {worst:.2g} times float32's away from it"
                news.send(("is wrong", f"{fault} (at most {LARGEST_ERROR:g} is sound)"))
                return
        news.send(None)


def _trained_encoders(inputs: Inputs) -> list[str | None]:
    """Name a source for each distinct encoder that is trained; None for the study's own."""
    study = inputs.study
    of_settings: dict[str, str | None] = {}
    for source in study.sources:
        if not source.is_frozen:
            of_settings.setdefault(study.encoder_of(source).model_dump_json(), source.name)
    if {"random-labels", "from-scratch"} & {*study.transfer.controls}:
        of_settings.setdefault(study.encoder.model_dump_json(), None)
    return list(of_settings.values())


def _make_encoder(inputs: Inputs, name: str | None) -> nn.Module:
    return new_encoder(inputs, name, inputs.study.seeds[0])[0]


def _video_shape(inputs: Inputs) -> tuple[int, ...]:
    study = inputs.study
    video = study.video
    return study.train.batch_size, video.num_frames, video.height, video.width, 3

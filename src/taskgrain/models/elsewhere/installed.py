"""The two libraries that networks come from: imported when they are first needed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

import torch

from taskgrain.errors import ConfigError

_DETECTION = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_DETECTION_OPERATORS = ("nms", "qnms")
_kept: list[torch.library.Library] = []  # operators vanish with the object that declares them


def torchvision_models() -> ModuleType:
    """Give `torchvision.models`.

    Raises:
        ConfigError: if torchvision is not installed, or does not go with this torch.
    """
    if importlib.util.find_spec("torchvision") is None:
        raise ConfigError('networks of torchvision need: pip install "taskgrain[pretrained]"')
    try:
        _mend_torchvision()
        return importlib.import_module("torchvision.models")
    except (ImportError, RuntimeError, AttributeError) as error:
        raise ConfigError(
            f"torchvision cannot be imported beside torch {torch.__version__} ({error}); install "
            "the two for the same device, as https://pytorch.org/get-started says"
        ) from error


def transformers_library() -> ModuleType:
    """Give `transformers`.

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


def _mend_torchvision() -> None:
    """Import torchvision, though it was built for another device than torch.

    Its compiled part then does not load, and its import fails over the two operators below, which
    only detectors call; declared without an implementation, all else works.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error) or _kept:
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]  # half imported
        library = torch.library.Library("torchvision", "DEF")
        for operator in _DETECTION_OPERATORS:
            library.define(f"{operator}{_DETECTION}")
        _kept.append(library)
        importlib.import_module("torchvision")

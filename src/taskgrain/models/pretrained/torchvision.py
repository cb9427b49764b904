"""Networks of torchvision: image classifiers frame by frame, video classifiers step by step.

Shapes: N images, B clips, T frames, T' steps, h w pixels, D width.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from taskgrain.errors import ConfigError, nearest
from taskgrain.models.pretrained.encoder import Preparation, Trunk, planes_of

# Families whose last Linear layer is the classifier. Left out: those with classifiers beside it
# (GoogLeNet, Inception), without a Linear one (SqueezeNet), or stored under other names (DenseNet).
IMAGE_FAMILIES = (
    *("alexnet", "convnext", "efficientnet", "maxvit", "mnasnet", "mobilenet", "regnet", "resnet"),
    *("resnext", "shufflenet", "swin", "vgg", "vit_b", "vit_l", "wide_resnet"),
)
_DETECTION = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_DETECTION_OPERATORS = ("nms", "qnms")
_kept: list[torch.library.Library] = []  # operators vanish with the object that declares them


class MapsOverTime(nn.Module):
    """The maps that a video network leaves, averaged over space and not over time."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, frames: Tensor) -> Tensor:
        """Map float (B, T, 3, h, w) to (B, T', D)."""
        maps = self.layers(frames.transpose(1, 2))  # (B, D, T', h', w')
        return maps.mean(dim=(3, 4)).transpose(1, 2)


class PatchesLast(nn.Module):
    """What `SwinTransformer3d` leaves, (B, T', h', w', D), laid out as maps (B, D, T', h', w')."""

    def forward(self, patches: Tensor) -> Tensor:
        """Move the width from the last place to the second."""
        return patches.permute(0, 4, 1, 2, 3)


class PatchTokens(nn.Module):
    """What `MViT` leaves of a clip's patches, averaged over space; its class token is left out.

    Its parts are called one by one: the whole returns what its head makes of the class token.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for name in _MVIT:
            self.add_module(name, network.get_submodule(name))
        encoding: Any = self.get_submodule("pos_encoding")
        self._size = (encoding.temporal_size, *encoding.spatial_size)  # of the patches

    def forward(self, frames: Tensor) -> Tensor:
        """Map float (B, T, 3, h, w), of the one size that the network takes, to (B, T', D)."""
        conv_proj, pos_encoding, blocks, norm = (self.get_submodule(name) for name in _MVIT)
        patches = conv_proj(frames.transpose(1, 2)).flatten(2).transpose(1, 2)
        tokens, size = pos_encoding(patches), self._size
        for block in blocks.children():
            tokens, size = block(tokens, size)
        return norm(tokens)[:, 1:].unflatten(1, size).mean(dim=(2, 3))


# All but `avgpool`, which would average over time as well, and `fc`.
_RESIDUAL = ("stem", "layer1", "layer2", "layer3", "layer4")
_SWIN = ("patch_embed", "pos_drop", "features", "norm")  # and `PatchesLast`
_MVIT = ("conv_proj", "pos_encoding", "blocks", "norm")  # of `PatchTokens`
VIDEO_LAYERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("r3d_18", "mc3_18", "r2plus1d_18"), _RESIDUAL),
    "s3d": ("features",),
    **dict.fromkeys(("swin3d_t", "swin3d_s", "swin3d_b"), _SWIN),
    **dict.fromkeys(("mvit_v1_b", "mvit_v2_s"), _MVIT),
}
"""What of each video network is left when pooling and classifier are taken off."""

VIDEO_WIDTHS: Mapping[str, int] = {
    **dict.fromkeys(("swin3d_t", "swin3d_s", "mvit_v1_b", "mvit_v2_s"), 768),
    **dict.fromkeys(("s3d", "swin3d_b"), 1024),
}
RESIDUAL_WIDTH = 512


def known_models() -> tuple[str, ...]:
    """Name the networks that can be used here."""
    models = torchvision_models()
    images = models.list_models(module=models)
    usable = [name for name in images if re.match("|".join(IMAGE_FAMILIES), name)]
    return (*usable, *VIDEO_LAYERS)


def check_model(model: str) -> None:
    """Refuse the name of a network that is not there, or whose head cannot be taken off.

    Raises:
        ConfigError: naming one that is.
    """
    known = known_models()
    if model not in known:
        raise ConfigError(
            f"torchvision: no network {model!r} here{nearest(model, known)}; those whose features "
            f"can be read begin with {', '.join((*IMAGE_FAMILIES, *VIDEO_LAYERS))}"
        )


def new_network(model: str) -> nn.Module:
    """Build a whole network, its classifier too, with weights of torch's generator as it stands."""
    check_model(model)
    return torchvision_models().get_model(model)


def trunk_of(model: str, network: nn.Module) -> Trunk:
    """Take the head off a network.

    Of an image network the features are what its classifier, the last Linear layer, reads: the
    average over space for most, the second layer of 4096 for VGG, the class token for ViT. Of a
    video network they are its last maps, averaged over space alone.
    """
    if VIDEO_LAYERS.get(model) == _MVIT:
        return Trunk(PatchTokens(network), VIDEO_WIDTHS[model], "clips")
    if model in VIDEO_LAYERS:
        layers = [network.get_submodule(name) for name in VIDEO_LAYERS[model]]
        if VIDEO_LAYERS[model] == _SWIN:
            layers.append(PatchesLast())
        maps = MapsOverTime(nn.Sequential(*layers))
        return Trunk(maps, VIDEO_WIDTHS.get(model, RESIDUAL_WIDTH), "clips")
    linear = [(name, each) for name, each in network.named_modules() if isinstance(each, nn.Linear)]
    # In every family above the classifier is the last Linear layer that is defined.
    name, classifier = linear[-1]
    network.set_submodule(name, nn.Identity())
    return Trunk(network, classifier.in_features, "frames")


def published_address(model: str) -> str:
    """Return the address of torchvision's own weights of a network."""
    check_model(model)
    return str(torchvision_models().get_model_weights(model).DEFAULT.url)


def published_preparation(model: str) -> Preparation:
    """Read how torchvision's own weights of a network want its clips."""
    check_model(model)
    weights = torchvision_models().get_model_weights(model).DEFAULT
    preset = weights.transforms()
    crop = [*preset.crop_size, *preset.crop_size][:2]
    scaled = [*preset.resize_size, *preset.resize_size][:2]
    return Preparation(
        height=crop[0],
        width=crop[1],
        scaled_height=scaled[0],
        scaled_width=scaled[1],
        keeps_aspect=len(preset.resize_size) == 1,
        mean=planes_of(preset.mean),
        deviation=planes_of(preset.std),
        # The positions of MViT's tokens are of one number of steps; the others take any.
        num_frames=weights.meta["min_temporal_size"] if VIDEO_LAYERS.get(model) == _MVIT else None,
    )


def torchvision_models() -> ModuleType:
    """Import and return `torchvision.models`.

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
        # What was imported before the error stays in sys.modules, and would be taken for the whole.
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]  # half imported
        library = torch.library.Library("torchvision", "DEF")
        for operator in _DETECTION_OPERATORS:
            library.define(f"{operator}{_DETECTION}")
        _kept.append(library)
        importlib.import_module("torchvision")

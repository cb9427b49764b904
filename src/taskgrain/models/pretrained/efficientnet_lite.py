"""EfficientNet-Lite0 without a package of its own: layers, and what its weights want to see.

MBConv blocks without squeeze-and-excitation, ReLU6 throughout, stem and head of fixed width:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (Apache 2.0).
Stochastic depth, which its makers trained with, is left out: it changes no frozen feature.

Shapes: N images, C channels, h w pixels, both multiples of 32.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.errors import ConfigError
from taskgrain.models.pretrained.encoder import Preparation, Trunk

MODEL = "efficientnet-lite0"
WIDTH = 1280  # of the features: what its classifier reads
NUM_CLASSES = 1000
STEM_WIDTH = 32
DROPOUT = 0.2  # before the classifier
NORM_EPSILON, NORM_MOMENTUM = 1e-3, 0.01
SEEN = 224  # pixels on a side
SCALED = 256  # of the shorter edge, before the middle is cut out
# Its makers' MEAN_RGB and STDDEV_RGB. The README beside the weights has torchvision's, which the
# statistics in its norms contradict (docs/protocol.md, "Pretrained networks").
GREY, CONTRAST = 127 / 255, 128 / 255


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one width; the first takes the stride and the width of what came before."""

    num_blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class PaddedConvolution(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": of stride 2 by one pixel more at the end."""

    def forward(self, images: Tensor) -> Tensor:
        """Map float (N, C, h, w) to (N, C', h / stride, w / stride)."""
        # TensorFlow pads what is lacking, the odd pixel at the end; torch pads both sides alike.
        lacking = self.kernel_size[0] - self.stride[0]
        before, after = lacking // 2, lacking - lacking // 2
        return super().forward(F.pad(images, (before, after, before, after)))


class Block(nn.Module):
    """An inverted residual: widened, filtered channel by channel, projected."""

    def __init__(self, width: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inner = width * stage.expansion
        self.expand_conv = None
        if stage.expansion > 1:
            self.expand_conv = nn.Conv2d(width, inner, 1, bias=False)
            self.bn0 = _norm(inner)
        self.depthwise_conv = PaddedConvolution(
            inner, inner, stage.kernel, stride=stride, groups=inner, bias=False
        )
        self.bn1 = _norm(inner)
        self.project_conv = nn.Conv2d(inner, stage.width, 1, bias=False)
        self.bn2 = _norm(stage.width)
        self._adds = stride == 1 and width == stage.width

    def forward(self, images: Tensor) -> Tensor:
        """Map float (N, C, h, w) to (N, C', h / stride, w / stride)."""
        seen = images
        if self.expand_conv is not None:
            seen = F.relu6(self.bn0(self.expand_conv(seen)))
        seen = F.relu6(self.bn1(self.depthwise_conv(seen)))
        seen = self.bn2(self.project_conv(seen))
        return seen + images if self._adds else seen


class EfficientNetLite(nn.Module):
    """The whole classifier; `fc` may be replaced by `nn.Identity` for its features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = PaddedConvolution(3, STEM_WIDTH, 3, stride=2, bias=False)
        self.bn0 = _norm(STEM_WIDTH)
        self.blocks = nn.ModuleList()
        width = STEM_WIDTH
        for stage in STAGES:
            for number in range(stage.num_blocks):
                self.blocks.append(Block(width, stage, 1 if number else stage.stride))
                width = stage.width
        self.conv_head = nn.Conv2d(width, WIDTH, 1, bias=False)
        self.bn1 = _norm(WIDTH)
        self.dropout = nn.Dropout(DROPOUT)
        self.fc: nn.Module = nn.Linear(WIDTH, NUM_CLASSES)
        for each in self.modules():
            if isinstance(each, nn.Conv2d):  # by the filters' own inputs, or depth would fade all
                nn.init.kaiming_normal_(each.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Map float (N, 3, h, w), normalised, to logits float (N, 1000)."""
        seen = F.relu6(self.bn0(self.conv_stem(images)))
        for block in self.blocks:
            seen = block(seen)
        seen = F.relu6(self.bn1(self.conv_head(seen)))
        return self.fc(self.dropout(seen.mean(dim=(2, 3))))


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)


def check_model(model: str) -> None:
    """Refuse any other name than the one network's.

    Raises:
        ConfigError: naming it.
    """
    if model != MODEL:
        raise ConfigError(f"imagenet: no network {model!r} here; expected {MODEL!r}")


def new_network(model: str) -> EfficientNetLite:
    """Build the whole network with weights of torch's generator as it stands.

    Raises:
        ConfigError: as `check_model`.
    """
    check_model(model)
    return EfficientNetLite()


def trunk_of(network: nn.Module) -> Trunk:
    """Take the classifier and its dropout off: the features are the averages that it reads."""
    network.set_submodule("fc", nn.Identity())
    network.set_submodule("dropout", nn.Identity())
    return Trunk(network, WIDTH, "frames")


def preparation_of(model: str) -> Preparation:
    """Return what the network was trained to be shown; its makers scale bicubically.

    Raises:
        ConfigError: as `check_model`.
    """
    check_model(model)
    return Preparation(
        height=SEEN,
        width=SEEN,
        scaled_height=SCALED,
        scaled_width=SCALED,
        keeps_aspect=True,
        mean=(GREY, GREY, GREY),
        deviation=(CONTRAST, CONTRAST, CONTRAST),
        num_frames=None,
    )

"""Settings of the networks: encoders, ours and from elsewhere, and the caption decoder."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from taskgrain.config.checked import Settings

Widths = tuple[Annotated[int, Field(ge=1, le=4096)], ...]


class Encoder(Settings):
    """One encoder: the two-channel one, or a network from elsewhere by its name."""

    network: Literal["two-channel", "torchvision", "huggingface", "imagenet"] = Field(
        "two-channel",
        description="two-channel, or a model of one of these libraries; imagenet: the network of "
        "the extra imagenet",
    )
    layers: Literal["compact", "paper"] = Field(
        "compact", description="two-channel: strides, padding and pooling of its layers"
    )
    spatial_widths: Widths = Field(
        (8, 24, 48, 64), description="two-channel: 2D layers, first to last; none: no 2D channel"
    )
    temporal_widths: Widths = Field(
        (8, 24, 48, 64), description="two-channel: 3D layers, first to last; none: no 3D channel"
    )
    spatial_input: Literal["pixels", "pixels-and-centred"] = Field(
        "pixels-and-centred",
        description="two-channel: what its 2D layers see of a frame; centred: the frame minus the "
        "clip's mean over time",
    )
    temporal_input: Literal["pixels", "centred", "difference"] = Field(
        "difference",
        description="two-channel: what its 3D layers see of a frame; centred: as above; "
        "difference: the frame minus the one before; both have the deviation of the source's clips",
    )
    reduction: Literal["mean", "max"] = Field(
        "max", description="two-channel: what counts of the pixels that the last layers leave"
    )
    lstm_width: int = Field(128, ge=1, le=4096, description="units of the LSTM in each direction")
    feature_width: int = Field(
        0, ge=0, le=8192, description="two-channel: width of the layer after the LSTM; 0: none"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="two-channel: share after that layer")
    pixel_mean: float = Field(
        120.0, ge=0, le=255, description="two-channel: grey level taken off every pixel"
    )
    pixel_deviation: float = Field(
        60.0, gt=0, le=255, description="two-channel: grey levels that become 1"
    )
    model: str | None = Field(
        None,
        description="torchvision's name (resnet18), a Hugging Face model's name or folder, or "
        "efficientnet-lite0 of imagenet",
    )
    weights: Literal["cached", "download", "random"] = Field(
        "cached",
        description="of a network from elsewhere: as on this machine, fetched if need be, or drawn",
    )
    recurrent: bool = Field(
        False, description="of a network from elsewhere: an LSTM over its steps, as lstm_width says"
    )
    single_frame: bool = Field(
        False, description="of an image network: it sees the middle frame of a clip alone"
    )

    @model_validator(mode="after")
    def _is_one_network(self) -> Self:
        if self.network == "two-channel":
            if not self.spatial_widths and not self.temporal_widths:
                raise ValueError("both channels are without layers; give at least one its widths")
            _refuse_set(self, ELSEWHERE, "belongs to a network from elsewhere; set network")
            return self
        if not self.model:
            raise ValueError(f'network = "{self.network}" needs "model", the name of its network')
        _refuse_set(self, TWO_CHANNEL, "belongs to the two-channel network")
        if not self.recurrent:
            _refuse_set(self, ("lstm_width",), 'needs "recurrent", without which there is no LSTM')
        if self.single_frame and (self.recurrent or self.network == "huggingface"):
            raise ValueError('"single_frame" is for an image network, without LSTM')
        return self


TWO_CHANNEL = (
    *("layers", "spatial_widths", "temporal_widths", "feature_width", "dropout"),
    *("spatial_input", "temporal_input", "reduction", "pixel_mean", "pixel_deviation"),
)
ELSEWHERE = ("model", "weights", "recurrent", "single_frame")


def _refuse_set(encoder: Encoder, keys: tuple[str, ...], why: str) -> None:
    """Refuse settings that would do nothing; those left at their defaults are in every file."""
    for key in keys:
        if getattr(encoder, key) != Encoder.model_fields[key].default:
            raise ValueError(f'"{key}" {why}')


class Decoder(Settings):
    """The caption decoder of every source that has one."""

    word_width: int = Field(64, ge=1, le=4096, description="numbers of a word's embedding")
    lstm_width: int = Field(128, ge=1, le=4096, description="units of its LSTM")
    num_layers: int = Field(1, ge=1, le=8, description="layers of its LSTM")
    attention: bool = Field(
        True, description="look at the encoder's steps anew before each word (additive attention)"
    )
    first_weights: Literal["scaled", "torch"] = Field(
        "scaled", description="scaled so that the clip is heard beside the words, or torch's own"
    )

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from taskgrain.models.build import build_encoder
from taskgrain.models.encoder import (
    Channel,
    ChannelShape,
    ConvLayer,
    EncoderShape,
    Pixels,
    TwoChannelEncoder,
)
from tests.networks import compact_shape, paper_shape


def make_video(num_clips: int = 2, num_frames: int = 16, size: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (num_clips, num_frames, size, size, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def every_frame_encoder() -> TwoChannelEncoder:
    flat = (ConvLayer(4, (1, 2, 2), (0, 1, 1)), ConvLayer(5, (1, 2, 2), (0, 1, 1)))
    deep = (ConvLayer(4, (1, 2, 2)), ConvLayer(6, (1, 2, 2)))
    torch.manual_seed(0)
    return TwoChannelEncoder(
        EncoderShape(
            spatial=ChannelShape(flat, temporal_kernel=1),
            temporal=ChannelShape(deep, temporal_kernel=3),
            lstm_width=8,
            feature_width=0,
            dropout=0.0,
            pixels=Pixels(120.0, 60.0),
        )
    ).eval()


# The table of docs/paper.md: base widths of 2D and 3D; parameters of 2D, 3D, LSTM, FC, all.
PAPER_COUNTS = [
    (32, 0, 1_570_560, 0, 3_153_920, 1_049_600, 5_774_080),
    (64, 0, 6_274_560, 0, 4_202_496, 1_049_600, 11_526_656),
    (48, 16, 3_530_880, 1_177_824, 4_202_496, 1_049_600, 9_960_800),
    (32, 32, 1_570_560, 4_705_728, 4_202_496, 1_049_600, 11_528_384),
    (16, 48, 393_600, 10_583_712, 4_202_496, 1_049_600, 16_229_408),
    (0, 32, 0, 4_705_728, 3_153_920, 1_049_600, 8_909_248),
    (0, 64, 0, 18_811_776, 4_202_496, 1_049_600, 24_063_872),
]


@pytest.mark.parametrize(("k2", "k3", "spatial", "temporal", "lstm", "out", "total"), PAPER_COUNTS)
def test_the_papers_encoder_has_the_papers_parameter_counts(
    k2: int, k3: int, spatial: int, temporal: int, lstm: int, out: int, total: int
) -> None:
    encoder = build_encoder(paper_shape(k2, k3), 0)

    def count(part: torch.nn.Module | None) -> int:
        return 0 if part is None else sum(p.numel() for p in part.parameters())

    assert count(encoder.spatial) == spatial
    assert count(encoder.temporal) == temporal
    assert (count(encoder.lstm), count(encoder.out)) == (lstm, out)
    assert count(encoder) == total
    assert encoder.width == 1024


@pytest.mark.slow
def test_the_papers_encoder_gives_the_papers_sizes_at_its_own_frames() -> None:
    # The last column of the table of docs/paper.md; what the sixth layer's pool of 6 x 6 leaves is
    # what our channel takes the largest of.
    sizes = [(48, 48, 48), (48, 24, 24), (48, 12, 12), (48, 10, 10), (48, 8, 8), (48, 6, 6)]
    widths = [32, 64, 128, 256, 256, 256]
    encoder = build_encoder(paper_shape(32, 32), 0).eval()
    found: dict[str, list[tuple[int, ...]]] = {"spatial": [], "temporal": []}

    def remember(name: str) -> Callable[[torch.nn.Module, object, Tensor], None]:
        return lambda _module, _inputs, maps: found[name].append(tuple(maps.shape))

    for name, channel in (("spatial", encoder.spatial), ("temporal", encoder.temporal)):
        assert channel is not None
        for layer in channel.layers:
            layer.register_forward_hook(remember(name))
    video = make_video(1, 48, 96)
    with torch.inference_mode():
        features = encoder(video)
        assert encoder.channel_features(video).shape == (1, 48, 512)
    assert features.shape == (1, 48, 1024)
    expected = [(1, width, *size) for width, size in zip(widths, sizes, strict=True)]
    for name in ("spatial", "temporal"):
        assert found[name] == [*expected, *expected]  # two passes


def test_the_papers_channels_end_in_one_number_a_plane_and_frame() -> None:
    encoder = build_encoder(paper_shape(2, 2), 0).eval()
    with torch.no_grad():
        assert encoder.channel_features(make_video(1, 6, 96)).shape == (1, 6, 32)
        assert encoder(make_video(1, 6, 96)).shape == (1, 6, 1024)


def test_sixteen_frames_become_four_steps_of_the_compact_encoder() -> None:
    encoder = build_encoder(compact_shape(), 0).eval()
    with torch.no_grad():
        features = encoder(make_video())
    assert features.shape == (2, 4, 256)
    assert features.dtype == torch.float32
    assert encoder.width == 256


@pytest.mark.parametrize("num_frames", [1, 2, 5, 18, 23])
def test_any_number_of_frames_is_encoded(num_frames: int) -> None:
    encoder = build_encoder(compact_shape(spatial_widths=(4, 6), temporal_widths=(4, 6)), 0).eval()
    with torch.no_grad():
        features = encoder(make_video(num_frames=num_frames))
    assert features.shape == (2, -(-num_frames // 4), 256)
    assert bool(features.isfinite().all())


def test_reversing_time_reverses_the_spatial_steps_and_changes_the_temporal_ones() -> None:
    encoder = every_frame_encoder()
    video = make_video()
    with torch.no_grad():
        forward = encoder.channel_features(video)
        backward = encoder.channel_features(video.flip(1)).flip(1)
    assert torch.allclose(forward[..., :5], backward[..., :5], atol=1e-6)
    assert float((forward[..., 5:] - backward[..., 5:]).abs().max()) > 1e-3


def test_a_spatial_step_sees_its_own_frame_only() -> None:
    encoder = every_frame_encoder()
    video = make_video()
    changed = video.clone()
    changed[:, 3] = 255 - changed[:, 3]
    with torch.no_grad():
        difference = encoder.channel_features(video) - encoder.channel_features(changed)
    moved = difference.abs().amax((0, 2)) > 0  # steps
    spatial_moved = difference[..., :5].abs().amax((0, 2)) > 0
    assert spatial_moved.nonzero().flatten().tolist() == [3]
    assert moved.nonzero().flatten().tolist() == [1, 2, 3, 4, 5]


def test_the_shorter_channel_is_repeated_beside_the_frames_it_saw() -> None:
    encoder = build_encoder(compact_shape(spatial_widths=(4, 6), temporal_widths=(4,)), 0).eval()
    with torch.no_grad():
        spatial = encoder.channel_features(make_video())[..., :6]  # (B, 8, 6), four different
    assert torch.equal(spatial[:, 0::2], spatial[:, 1::2])
    assert not torch.equal(spatial[:, 0], spatial[:, 2])


@pytest.mark.parametrize("num_frames", range(7, 35))
def test_every_spatial_step_stands_beside_its_part_of_the_clip(num_frames: int) -> None:
    shape = compact_shape(spatial_widths=(2, 3, 4), temporal_widths=(2, 3, 4))
    encoder = build_encoder(shape, 0).eval()
    assert encoder.spatial is not None
    video = make_video(1, num_frames)
    with torch.no_grad():
        seen = encoder.channel_features(video)[0, :, :4]
        levels = video.permute(0, 4, 1, 2, 3).float()
        shown = encoder.inputs(levels, "pixels-and-centred", frame_stride=4)
        own = encoder.spatial(shown)[0]
    steps = [int((own - step).abs().sum(1).argmin()) for step in seen]
    assert sorted(set(steps)) == list(range(len(own)))  # none is left out
    for place, step in enumerate(steps):
        assert torch.equal(seen[place], own[step])
        assert abs((place + 0.5) / len(steps) - (step + 0.5) / len(own)) < 1 / len(own)


def test_a_clip_is_encoded_alike_in_every_batch() -> None:
    encoder = every_frame_encoder()
    video = make_video(4)
    with torch.no_grad():
        together, alone = encoder(video), encoder(video[2:3])
    assert torch.allclose(together[2:3], alone, atol=1e-5)


def test_the_video_is_left_as_it_was() -> None:
    video = make_video()
    before = video.clone()
    with torch.no_grad():
        every_frame_encoder()(video)
    assert torch.equal(video, before)


def test_normalisation_is_in_the_weights_and_is_not_trained() -> None:
    encoder = every_frame_encoder()
    assert "inputs.pixel_mean" in encoder.state_dict()
    assert "inputs.pixel_mean" not in dict(encoder.named_parameters())
    with torch.no_grad():
        before = encoder(make_video())
        encoder.inputs.pixel_mean += 50
        assert not torch.allclose(before, encoder(make_video()))


def test_the_lstm_computes_in_float32_under_autocast() -> None:
    encoder = build_encoder(compact_shape(spatial_widths=(4, 6), temporal_widths=(4, 6)), 0)
    seen: list[torch.dtype] = []

    def remember(_module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].dtype)

    encoder.lstm.register_forward_pre_hook(remember)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = encoder(make_video())
    features.sum().backward()
    assert seen == [torch.float32]
    assert features.dtype == torch.float32


@pytest.mark.parametrize(
    "video",
    [
        torch.zeros(2, 4, 8, 8, 3),
        torch.zeros(2, 4, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(4, 8, 8, 3, dtype=torch.uint8),
    ],
)
def test_another_kind_of_video_is_refused(video: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(B, T, H, W, 3\)"):
        every_frame_encoder()(video)


def test_an_encoder_without_channels_is_refused() -> None:
    shape = compact_shape(spatial_widths=(), temporal_widths=())
    with pytest.raises(ValueError, match="both channels have width 0"):
        build_encoder(shape, 0)


def test_a_channel_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        Channel(ChannelShape())


@pytest.mark.parametrize("reduction", ["max", "mean"])
def test_a_channel_reduces_what_the_layers_leave(reduction: str) -> None:
    kept: dict[str, Tensor] = {}
    layers = (ConvLayer(3, pool=(1, 2, 2)),)
    channel = Channel(
        ChannelShape(layers, 3, reduction="max" if reduction == "max" else "mean")
    ).eval()
    channel.layers.register_forward_hook(lambda _m, _i, out: kept.update(maps=out))
    with torch.no_grad():
        seen = channel(torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0)))
    maps = kept["maps"].flatten(3)
    expected = maps.max(3).values if reduction == "max" else maps.mean(3)
    assert maps.shape == (2, 3, 4, 16)
    assert torch.allclose(seen, expected.transpose(1, 2))


@torch.inference_mode()
def test_the_widths_of_the_channels_divide_what_is_read_before_the_lstm() -> None:
    encoder, video = every_frame_encoder(), make_video()
    assert encoder.channel_widths == (5, 6)
    seen = encoder.channel_features(video)
    assert torch.equal(encoder.from_channels(seen), encoder(video))
    reversed_seen = encoder.channel_features(video.flip(1))
    spatial = seen[:, :, : encoder.channel_widths[0]]
    torch.testing.assert_close(spatial.flip(1), reversed_seen[:, :, :5])
    assert not torch.allclose(seen.flip(1)[:, :, 5:], reversed_seen[:, :, 5:])
    flat = build_encoder(compact_shape(temporal_widths=()), 0)
    assert flat.channel_widths == (64, 0)

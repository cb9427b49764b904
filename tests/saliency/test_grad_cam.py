from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taskgrain.errors import CheckpointError
from taskgrain.labels.vocabulary import BOS
from taskgrain.models.build import DecoderShape, EncoderShape, build_encoder, spatial_channel
from taskgrain.models.encoder import (
    Channel,
    ChannelShape,
    ConvLayer,
    Pixels,
    TwoChannelEncoder,
    num_planes,
)
from taskgrain.models.model import SourceModel
from taskgrain.saliency.grad_cam import (
    ClassTarget,
    Places,
    Saliency,
    Target,
    WordTarget,
    explain,
    places_of,
    spread,
)
from tests.networks import build_model, compact_shape, paper_shape

TINY = compact_shape(spatial_widths=(4, 6), temporal_widths=(5, 6), lstm_width=8)
DECODER = DecoderShape(word_width=6, lstm_width=10, num_layers=2)
LISTENING = DecoderShape(word_width=6, lstm_width=10, num_layers=2, attention=True)
TARGETS: tuple[Target, ...] = (
    ClassTarget("push", 0),
    ClassTarget("pull", 1),
    WordTarget("a", (BOS, 5)),
    WordTarget("cup", (BOS, 5, 7)),
)


def make_model(shape: EncoderShape = TINY, decoder: DecoderShape = DECODER) -> SourceModel:
    model = build_model(shape, num_classes=3, vocabulary_size=9, decoder_shape=decoder, seed=1)
    return model.eval()


def make_video(num_frames: int = 16, size: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(
        0, 256, (num_frames, size, size, 3), dtype=torch.uint8, generator=generator
    )


def square(corners: list[tuple[int, int]], size: int = 48) -> Tensor:
    """A white square of 8 pixels on black whose top left corners are (row, column) in time."""
    video = torch.zeros((len(corners), size, size, 3), dtype=torch.uint8)
    for frame, (row, column) in zip(video, corners, strict=True):
        frame[row : row + 8, column : column + 8] = 255
    return video


def centre(heat: NDArray[np.float32]) -> tuple[float, float]:
    """Centre of mass of (H, W): row and column."""
    mass = heat.astype(np.float64) / heat.sum(dtype=np.float64)
    rows, columns = np.arange(heat.shape[0]), np.arange(heat.shape[1])
    return float(mass.sum(1) @ rows), float(mass.sum(0) @ columns)


def brightness_model(*, temporal_kernel: int) -> SourceModel:
    """One channel of one plane that answers to light, and an LSTM for which it adds up."""
    layers = tuple(ConvLayer(1, (1, 2, 2), (temporal_kernel // 2, 1, 1)) for _ in range(2))
    seen, absent = ChannelShape(layers, temporal_kernel), ChannelShape()
    spatial, temporal = (seen, absent) if temporal_kernel == 1 else (absent, seen)
    shape = EncoderShape(spatial, temporal, 8, 0, 0.0, Pixels(0.0, 255.0))
    model = build_model(shape, num_classes=2, vocabulary_size=None, seed=0).eval()
    for module in model.encoder.modules():
        if isinstance(module, nn.Conv3d):
            assert module.bias is not None
            nn.init.constant_(module.weight, 0.1)
            nn.init.zeros_(module.bias)
    assert isinstance(model.encoder, TwoChannelEncoder)
    assert model.head is not None
    for weights in model.encoder.lstm.parameters():
        nn.init.constant_(weights, 0.2)
    with torch.no_grad():
        model.head.linear.weight.copy_(torch.tensor([[1.0], [-1.0]]).expand(2, 16))
    return model


@pytest.mark.slow
def test_maps_have_a_name_a_frame_and_a_pixel_each_and_the_channels_add_up() -> None:
    found = explain(make_model(), make_video(18), TARGETS)
    assert found.names == ("push", "pull", "a", "cup")
    assert set(found.channels) == {"spatial", "temporal"}
    for maps in (found.maps, *found.channels.values()):
        assert maps.shape == (4, 18, 32, 32)
        assert maps.dtype == np.float32
        assert float(maps.min()) >= 0
    assert found.maps.max(axis=(1, 2, 3)) == pytest.approx(1, abs=1e-6)
    assert found.maps == pytest.approx(sum(found.channels.values()), abs=1e-6)
    assert found.share("spatial") + found.share("temporal") == pytest.approx(1)
    assert (found.peak > 0).all()


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(TINY, id="compact"),
        pytest.param(paper_shape(1, 1), id="paper", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("decoder", [DECODER, LISTENING], ids=["plain", "attention"])
def test_maps_are_what_the_formula_says_loop_by_loop(
    shape: EncoderShape, decoder: DecoderShape
) -> None:
    model = make_model(shape, decoder)
    video = make_video(4, 96) if shape is not TINY else make_video()
    found = explain(model, video, TARGETS)
    assert isinstance(model.encoder, TwoChannelEncoder)
    channels = {"spatial": model.encoder.spatial, "temporal": model.encoder.temporal}
    kept: dict[str, Tensor] = {}
    for name, channel in channels.items():
        assert channel is not None

        def keep(_module: nn.Module, _inputs: object, seen: Tensor, name: str = name) -> None:
            seen.retain_grad()
            kept[name] = seen

        channel.layers.register_forward_hook(keep)
    for index, target in enumerate(TARGETS):
        if isinstance(target, ClassTarget):
            assert model.head is not None
            score = model.head(model.encoder(video[None]))[0, target.index]
        else:
            assert model.decoder is not None
            logits = model.decoder(model.encoder(video[None]), torch.tensor([target.tokens]))
            score = logits.log_softmax(2)[0, -1, target.tokens[-1]]
        assert score.item() == pytest.approx(float(found.log_probs[index]), abs=1e-5)
        score.backward()
        for name, channel in channels.items():
            assert isinstance(channel, Channel)
            maps, slopes = kept[name], kept[name].grad
            assert slopes is not None
            _, width, num_steps, *cells = maps.shape
            expected = np.zeros((1, num_steps, *cells), np.float32)
            for step in range(num_steps):
                total = torch.zeros(cells)
                for plane in range(width):
                    total += slopes[0, plane, step].mean() * maps[0, plane, step].detach()
                expected[0, step] = total.clamp(min=0)
            clip = (video.shape[0], video.shape[1], video.shape[2])
            ours = found.channels[name][index] * found.peak[index]
            assert np.abs(ours - spread(expected, channel, clip)[0]).max() <= (
                1e-4 * found.peak[index]
            )


@pytest.mark.parametrize("temporal_kernel", [1, 3], ids=["spatial", "temporal"])
def test_the_map_follows_the_object(temporal_kernel: int) -> None:
    model = brightness_model(temporal_kernel=temporal_kernel)
    corners = [(4 + 2 * t, 36 - 2 * t) for t in range(16)]
    found = explain(model, square(corners), [ClassTarget("light", 0), ClassTarget("dark", 1)])
    assert len(found.channels) == 1
    assert not found.maps[1].any()  # light never speaks for the dark
    heat = found.maps[0]
    cell = 4  # pixels
    for t in range(2, 14):
        row, column = centre(heat[t])
        assert abs(row - (corners[t][0] + 3.5)) < cell / 2
        assert abs(column - (corners[t][1] + 3.5)) < cell / 2


def test_the_map_is_where_the_object_is_on_either_side_and_at_its_time() -> None:
    model = brightness_model(temporal_kernel=1)
    targets = [ClassTarget("light", 0)]
    left = explain(model, square([(20, 4)] * 8), targets).maps[0]
    right = explain(model, square([(20, 36)] * 8), targets).maps[0]
    assert centre(left.sum(0))[1] < 12
    assert centre(right.sum(0))[1] > 36
    shown = torch.zeros((8, 48, 48, 3), dtype=torch.uint8)
    shown[5] = square([(20, 20)])[0]
    lit = explain(model, shown, targets).maps[0].max(axis=(1, 2))
    assert lit.argmax() == 5
    assert lit[5] > 10 * max(lit[:5].max(), lit[6:].max())


def test_one_channel_may_be_absent() -> None:
    for shape, name in (
        (compact_shape(temporal_widths=(), lstm_width=8), "spatial"),
        (compact_shape(spatial_widths=(), lstm_width=8), "temporal"),
        (paper_shape(1, 0), "spatial"),
    ):
        found = explain(make_model(shape), make_video(4, 96), TARGETS[:1])
        assert list(found.channels) == [name]
        assert np.array_equal(found.maps, found.channels[name])


def test_a_word_rests_on_the_words_before_it_and_not_on_those_after() -> None:
    model, video = make_model(), make_video()
    early = explain(model, video, [WordTarget("a", (BOS, 5))])
    again = explain(model, video, [*TARGETS[2:], WordTarget("!", (BOS, 5, 7, 8))])
    assert np.allclose(early.maps[0], again.maps[0], atol=1e-6)
    other = explain(model, video, [WordTarget("cup", (BOS, 8, 7))])
    assert not np.allclose(other.maps[0], again.maps[1], atol=1e-3)


def test_random_weights_give_other_maps() -> None:
    """Adebayo et al. 2018: a map that does not depend on the weights explains none of them."""
    video, target = make_video(), [ClassTarget("push", 0)]
    model = make_model()
    first = explain(model, video, target).maps
    assert np.array_equal(first, explain(model, video, target).maps)
    other = build_model(TINY, num_classes=3, vocabulary_size=9, decoder_shape=DECODER, seed=2)
    assert not np.allclose(first, explain(other, video, target).maps, atol=0.1)


def test_the_model_is_left_as_it_was() -> None:
    model = make_model(paper_shape(1, 1))  # has dropout
    assert model.head is not None
    model.train()
    model.head.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    video = make_video(4, 96)
    found = explain(model, video, TARGETS)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(part.grad is None and part.requires_grad for part in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert np.array_equal(found.maps, explain(model.eval(), video, TARGETS).maps)


def test_a_refused_target_leaves_the_model_as_it_was_too() -> None:
    model = make_model().train()
    with pytest.raises(ValueError, match="class 3: expected 0 to 2"):
        explain(model, make_video(), [ClassTarget("none", 3)])
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_what_the_caller_computes_under_does_not_matter() -> None:
    model, video = make_model(), make_video()
    expected = explain(model, video, TARGETS).maps
    with torch.inference_mode():
        assert np.array_equal(explain(model, video.clone(), TARGETS).maps, expected)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(explain(model, video, TARGETS).maps, expected)


def test_a_certain_class_is_explained_all_the_same() -> None:
    model, video = make_model(), make_video()
    assert model.head is not None
    with torch.no_grad():
        model.head.linear.bias[0] += 25.0  # p = 1 - 1e-11, in float32 no less than 1
    found = explain(model, video, [ClassTarget("push", 0)])
    assert found.log_probs[0] < 0
    assert float(found.maps.max()) == pytest.approx(1)


def test_where_nothing_speaks_for_a_class_the_map_is_empty() -> None:
    model = make_model()
    assert model.head is not None
    nn.init.zeros_(model.head.linear.weight)  # the head looks at no feature
    found = explain(model, make_video(), [ClassTarget("push", 0)])
    assert not found.maps.any()
    assert found.peak[0] == 0
    assert np.isnan(found.share("spatial")[0])


class Elsewhere(nn.Module):
    width = 4

    def forward(self, video: Tensor) -> Tensor:
        return video.float().mean((2, 3, 4))[..., None].expand(-1, -1, 4)


def test_an_encoder_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match=r"encoder is a Elsewhere;.*two-channel"):
        explain(SourceModel(Elsewhere()), make_video(), TARGETS)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (ClassTarget("push", -1), "class -1: expected 0 to 2"),
        (WordTarget("a", (BOS,)), "expected BOS"),
        (WordTarget("a", (5, 6)), "expected BOS"),
        (WordTarget("a", (BOS, 9)), "each below 9"),
    ],
)
def test_what_the_model_cannot_say_is_refused(target: Target, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        explain(make_model(), make_video(), [target])


def test_a_model_without_the_part_is_refused() -> None:
    model = SourceModel(build_encoder(TINY, 0))
    with pytest.raises(ValueError, match="has no head"):
        explain(model, make_video(), [TARGETS[0]])
    with pytest.raises(ValueError, match="has no decoder"):
        explain(model, make_video(), [TARGETS[2]])
    with pytest.raises(ValueError, match="no targets"):
        explain(model, make_video(), [])


def coloured(rng: np.random.Generator, number: int) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
    """Clips of a red or a blue square before grey noise: video, colour, top left corners."""
    video = rng.integers(60, 120, (number, 4, 32, 32, 3), dtype=np.uint8)
    colour = rng.integers(0, 2, number)
    corners = rng.integers(0, 25, (number, 2))
    for clip, plane, (row, column) in zip(video, colour, corners, strict=True):
        clip[:, row : row + 8, column : column + 8] = 30
        clip[:, row : row + 8, column : column + 8, 2 * plane] = 240
    return torch.from_numpy(video), torch.from_numpy(colour), corners


def misses(model: SourceModel, clips: tuple[Tensor, Tensor, NDArray[np.int64]]) -> float:
    """Mean distance in pixels from the centre of the map of the true class to the square."""
    far = []
    for video, colour, corner in zip(*clips, strict=True):
        found: Saliency = explain(model, video, [ClassTarget("its colour", int(colour))])
        where = centre(np.maximum(found.maps[0].sum(0), 1e-9))
        far.append(np.hypot(*(np.array(where) - (corner + 3.5))))
    return float(np.mean(far))


@pytest.mark.slow
def test_what_a_network_learned_to_look_at_is_where_its_maps_are() -> None:
    rng = np.random.default_rng(0)
    pixels = spatial_channel((8, 8), "compact")  # nothing but noise changes
    shape = replace(compact_shape(temporal_widths=(), lstm_width=8), spatial=pixels)
    model = build_model(shape, num_classes=2, vocabulary_size=None, seed=0)
    held_out = coloured(rng, 12)
    before = misses(model, held_out)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        video, colour, _ = coloured(rng, 16)
        assert model.head is not None
        loss = nn.functional.nll_loss(model.head(model.encoder(video)), colour)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.head is not None
    model.eval()
    assert bool((model.head(model.encoder(held_out[0])).argmax(1) == held_out[1]).all())
    after = misses(model, held_out)
    assert after < 3 < before


COMPACT, PAPER = compact_shape(), paper_shape(1, 1)


def even_channel(shape: ChannelShape) -> Channel:
    """A channel in which every pixel that a cell looks at counts for it as its place asks."""
    channel = Channel(shape).eval()
    for module in channel.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.ones_(module.weight)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return channel


@pytest.mark.parametrize(
    ("shape", "num_frames", "size"),
    [
        (COMPACT.spatial, 24, 96),
        (COMPACT.temporal, 48, 96),
        (PAPER.spatial, 3, 96),
        (PAPER.temporal, 15, 96),
    ],
    ids=["compact-spatial", "compact-temporal", "paper-spatial", "paper-temporal"],
)
def test_a_cell_lies_in_the_middle_of_what_it_looks_at(
    shape: ChannelShape, num_frames: int, size: int
) -> None:
    channel = even_channel(shape)
    # Of equal pixels a max pool passes on the first alone; their mean looks at all of them.
    for layer in channel.layers:
        assert isinstance(layer, nn.Sequential)
        pool = layer[-1]
        if isinstance(pool, nn.MaxPool3d):
            assert isinstance(pool.kernel_size, tuple)
            layer[-1] = nn.AvgPool3d(pool.kernel_size)
    planes = num_planes(shape.input)
    frames = torch.ones(1, planes, num_frames, size, size, requires_grad=True)
    step = channel.frame_stride
    seen = channel.layers(frames[:, :, step // 2 :: step] if step > 1 else frames)
    cell = [length // 2 for length in seen.shape[2:]]  # none at the edge
    (slope,) = torch.autograd.grad(seen[0, 0, cell[0], cell[1], cell[2]], frames)
    mass = slope[0].sum(0).double()  # (T, H, W)
    for axis, place in enumerate(places_of(Channel(shape), num_frames)):
        others = [other for other in range(3) if other != axis]
        along = mass.sum(others)
        centre = float((along * torch.arange(len(along))).sum() / along.sum())
        assert centre == pytest.approx(place.first + place.spacing * cell[axis], abs=1e-3)


def test_frames_between_two_cells_take_from_both_and_the_edges_from_the_nearest() -> None:
    weights = Places(first=2.0, spacing=4.0).weights(3, 16)
    assert weights.shape == (16, 3)
    assert np.allclose(weights.sum(axis=1), 1)
    assert weights[2].tolist() == [1, 0, 0]
    assert weights[3].tolist() == [0.75, 0.25, 0]
    assert weights[0].tolist() == [1, 0, 0]
    assert weights[15].tolist() == [0, 0, 1]


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_few_frames_have_a_map_too(num_frames: int) -> None:
    channel = Channel(COMPACT.spatial)
    assert places_of(channel, num_frames)[0].first <= num_frames - 1
    maps = np.ones((2, -(-num_frames // 4), 3, 3), np.float32)
    assert spread(maps, channel, (num_frames, 48, 40)).shape == (2, num_frames, 48, 40)


def test_a_map_is_spread_as_one_loop_after_the_other_would() -> None:
    channel = Channel(COMPACT.temporal)
    maps = np.random.default_rng(0).random((1, 4, 3, 3), np.float32)
    found = spread(maps, channel, (16, 48, 48))[0]
    cells = [
        np.clip(np.arange(n) / place.spacing, 0, count - 1)
        for n, place, count in zip((16, 48, 48), places_of(channel, 16), (4, 3, 3), strict=True)
    ]
    for t, y, x in [(0, 0, 0), (5, 20, 31), (15, 47, 47), (10, 3, 40)]:
        expected = 0.0
        at = (cells[0][t], cells[1][y], cells[2][x])
        for cell in np.ndindex(4, 3, 3):
            near = np.prod([max(0.0, 1 - abs(a - c)) for a, c in zip(at, cell, strict=True)])
            expected += float(near * maps[0][cell])
        assert found[t, y, x] == pytest.approx(expected / (4 * 16 * 16), rel=1e-5)

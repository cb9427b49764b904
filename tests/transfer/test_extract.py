from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from taskgrain.data.dataset import Batch
from taskgrain.data.decode import write_webm
from taskgrain.data.manifest import ClipRecord
from taskgrain.data.opening import read_manifest
from taskgrain.data.store import FrameFormat, FrameStore, write_shard
from taskgrain.errors import ResultError
from taskgrain.models.build import build_encoder
from taskgrain.transfer.extract import (
    SHORTCUTS,
    calibrate_batch_norm,
    collect_places,
    encoder_reader,
    feature_set,
    has_batch_norm,
    motion_energy,
    place_facts,
    raw_pixels,
    shuffled_time,
)
from taskgrain.transfer.features import FeatureSet, Place, mean_over_steps
from tests.making import moving_square, row, write_annotations
from tests.networks import compact_shape

CPU = torch.device("cpu")
VIDEO = torch.randint(
    0, 256, (6, 4, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


class OwnEncoder(nn.Module):
    """A user's encoder, with the layers that behave otherwise in training."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.linear = nn.Linear(3, 5)
        self.dropout = nn.Dropout(0.5)
        self.width = 5
        self.passes = 0

    @property
    def channel_widths(self) -> tuple[int, int]:
        return 1, 2

    def channel_features(self, video: Tensor) -> Tensor:
        self.passes += 1
        return self.norm(video.float().mean(dim=(2, 3)) / 255.0)  # (B, T, 3)

    def from_channels(self, seen: Tensor) -> Tensor:
        return self.dropout(self.linear(seen))

    def forward(self, video: Tensor) -> Tensor:
        return self.from_channels(self.channel_features(video))


def batches_of(sizes: Sequence[int]) -> list[Batch]:
    ends = np.cumsum(sizes)
    nothing = torch.zeros(0, dtype=torch.long)
    return [
        Batch(
            tuple(f"clip{i}" for i in range(end - size, end)),
            VIDEO[end - size : end],
            nothing,
            nothing,
        )
        for size, end in zip(sizes, ends.tolist(), strict=True)
    ]


def encoder() -> OwnEncoder:
    torch.manual_seed(0)
    made = OwnEncoder()
    made(VIDEO)  # in training mode: the running statistics move
    return made


def extract(made: nn.Module, batches: Sequence[Batch], place: Place = "output") -> FeatureSet:
    read = encoder_reader(made, [place], device=CPU)
    header = {"k": 1, **place_facts(made, place)}
    return feature_set([collect_places(read, batches, device=CPU)], place, header)


def collect(read: Callable[[Tensor], Tensor], batches: Sequence[Batch]) -> FeatureSet:
    part = collect_places(lambda video: {"output": read(video)}, batches, device=CPU)
    return feature_set([part], "output", {})


def test_every_clip_is_read_once_in_float32_with_all_its_steps() -> None:
    found = extract(encoder(), batches_of([4, 2]))
    assert found.clip_ids == tuple(f"clip{i}" for i in range(6))
    assert found.features.shape == (6, 4, 5)
    assert found.features.dtype == np.float32
    assert found.header == {"k": 1}
    assert mean_over_steps(found).features.shape == (6, 5)


def test_features_do_not_depend_on_batches_or_on_training_mode() -> None:
    one, other = encoder(), encoder()
    state = {name: value.clone() for name, value in one.state_dict().items()}
    whole = extract(one.train(), batches_of([6]))
    parts = extract(other, batches_of([1, 3, 2]))
    assert np.allclose(whole.features, parts.features, atol=1e-6)
    assert state.keys() == one.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in one.state_dict().items())


def test_channels_are_read_before_the_lstm() -> None:
    made = encoder()
    found = extract(made, batches_of([6]), "channels")
    assert found.features.shape == (6, 4, 3)
    with torch.inference_mode():
        assert np.array_equal(found.features, made.eval().channel_features(VIDEO).numpy())
    with pytest.raises(ValueError, match="Flatten has no channel_features"):
        extract(nn.Flatten(), batches_of([6]), "channels")


def test_every_readout_comes_of_one_pass() -> None:
    made = encoder()
    made.passes = 0
    read = encoder_reader(made, ["output", "channels"], device=CPU)
    part = collect_places(read, batches_of([4, 2]), device=CPU)
    assert made.passes == 2
    assert set(part) == {"clip", "output", "channels"}
    whole = extract(encoder(), batches_of([4, 2]))
    assert np.array_equal(part["output"], whole.features)
    channels = extract(encoder(), batches_of([4, 2]), "channels")
    assert np.array_equal(part["channels"], channels.features)
    assert channels.header["channel_widths"] == [1, 2]


def test_parts_join_to_what_one_extraction_gives() -> None:
    read = encoder_reader(encoder(), ["output"], device=CPU)
    batches = batches_of([2, 2, 2])
    parts = [collect_places(read, batches[i : i + 2], device=CPU) for i in (0, 2)]
    whole = extract(encoder(), batches_of([2, 2, 2]))
    joined = feature_set(parts, "output", {})
    assert joined.clip_ids == whole.clip_ids
    assert joined.features.tobytes() == whole.features.tobytes()


def test_autocast_around_the_extraction_changes_nothing() -> None:
    plain = extract(encoder(), batches_of([6]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = extract(encoder(), batches_of([6]))
    assert np.array_equal(plain.features, inside.features)


def test_a_clip_that_comes_twice_is_refused_by_name() -> None:
    (batch,) = batches_of([6])
    with pytest.raises(ResultError, match="clip clip0 has features twice"):
        collect(raw_pixels, [batch, batch])


def test_wrong_features_are_refused() -> None:
    with pytest.raises(ValueError, match="expected float32 with 6 rows"):
        collect(lambda video: raw_pixels(video).double(), batches_of([6]))
    with pytest.raises(ValueError, match="expected float32 with 6 rows"):
        collect(lambda video: raw_pixels(video)[:5], batches_of([6]))
    with pytest.raises(ResultError, match="the features of clip clip0 are not finite"):
        collect(lambda video: raw_pixels(video) / 0, batches_of([6]))
    with pytest.raises(ValueError, match="no clips"):
        collect(raw_pixels, [])


@pytest.mark.slow
def test_probing_features_from_a_file_imports_no_torch() -> None:
    modules = ("answers", "evaluate", "features", "predictions", "probes", "rows", "task")
    imports = "; ".join(f"import taskgrain.transfer.{name}" for name in modules)
    code = f"import sys; {imports}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def noise(*shape: int) -> Tensor:
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_pixels_of_a_clip_are_averages_of_areas_of_four_frames() -> None:
    video = noise(2, 10, 24, 36, 3)
    found = raw_pixels(video).reshape(2, 4, 3, 12, 12)
    assert found.dtype == torch.float32
    for place, frame in enumerate((0, 3, 6, 9)):
        area = video[1, frame, 2:4, 3:6, 2].float().mean() / 255
        assert found[1, place, 2, 1, 1] == pytest.approx(area.item(), abs=1e-6)


def test_pixels_are_fractions_and_short_clips_repeat_frames() -> None:
    white = torch.full((1, 2, 13, 17, 3), 255, dtype=torch.uint8)
    assert torch.equal(raw_pixels(white), torch.ones(1, 1728))
    assert raw_pixels(white * 0).sum() == 0


def test_a_still_clip_has_no_motion_energy() -> None:
    still = noise(1, 1, 32, 32, 3).expand(3, 9, 32, 32, 3)
    assert torch.equal(motion_energy(still), torch.zeros(3, 320))


def test_motion_energy_is_where_and_when_something_changes() -> None:
    video = torch.zeros(1, 11, 32, 32, 3, dtype=torch.uint8)  # 10 changes, 2 a bin
    video[:, 7:, 8:12, 20:24] = 255  # appears at change 6, in cell (2, 5), and stays
    energy = motion_energy(video).reshape(5, 8, 8)
    assert energy[3, 2, 5] == pytest.approx(0.5)  # one of the bin's two changes, from 0 to 1
    assert energy.sum() == pytest.approx(0.5)


def test_motion_energy_forgets_the_direction_of_time_inside_a_bin_only() -> None:
    video = noise(2, 11, 16, 16, 3)
    there = motion_energy(video).reshape(2, 5, 8, 8)
    back = motion_energy(video.flip(1)).reshape(2, 5, 8, 8)
    assert torch.allclose(there, back.flip(1), atol=1e-6)
    assert not torch.allclose(there, back, atol=1e-3)


def test_a_clip_does_not_change_with_its_neighbours_in_the_batch() -> None:
    video = noise(3, 6, 16, 16, 3)
    for read in (raw_pixels, motion_energy):
        assert torch.allclose(read(video)[1:2], read(video[1:2]), atol=1e-6)


def test_a_single_frame_has_no_motion_to_measure() -> None:
    with pytest.raises(ValueError, match="1 frames; motion needs at least 2"):
        motion_energy(noise(1, 1, 16, 16, 3))


HEADER: dict[str, object] = {"dataset": "tiny"}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClipRecord, ...]:
    """Three clips of 5, 6 and 7 frames."""
    root = tmp_path_factory.mktemp("data")
    write_annotations(root, [row("0"), row("1")], [row("2")])
    for n in range(3):
        write_webm(root / "videos" / f"{n}.webm", moving_square(5 + n))
    return read_manifest(root).records


@pytest.fixture(scope="module")
def store(records: tuple[ClipRecord, ...], tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    folder = tmp_path_factory.mktemp("store")
    write_shard(folder, 0, records, FrameFormat(24, 36))
    return FrameStore(folder, 1)


def test_outer_frames_are_those_that_pixels_begin_and_end_with(
    store: FrameStore, records: tuple[ClipRecord, ...]
) -> None:
    both = SHORTCUTS["first-and-last-frame"](store, records, HEADER)
    assert both.clip_ids == ("0", "1", "2")
    assert both.header == HEADER
    for found_row, record in zip(both.features, records, strict=True):
        video = torch.from_numpy(store.frames(record.clip_id).copy())[None]
        four = raw_pixels(video).reshape(4, 3, 12, 12)
        found = torch.from_numpy(found_row).reshape(2, 12, 12, 3).permute(0, 3, 1, 2)
        torch.testing.assert_close(found, four[[0, 3]], atol=1e-6, rtol=0)
    size = 12 * 12 * 3
    first, last = SHORTCUTS["first-frame"], SHORTCUTS["last-frame"]
    np.testing.assert_array_equal(first(store, records, HEADER).features, both.features[:, :size])
    np.testing.assert_array_equal(last(store, records, HEADER).features, both.features[:, size:])
    assert (both.features[:, :size] != both.features[:, size:]).any(axis=1).all()


def test_frames_of_another_order_have_the_same_outer_frames(
    records: tuple[ClipRecord, ...], store: FrameStore
) -> None:
    chosen = (records[2], records[0])
    found = SHORTCUTS["last-frame"](store, chosen, HEADER)
    assert found.clip_ids == ("2", "0")
    np.testing.assert_array_equal(
        found.features, SHORTCUTS["last-frame"](store, records, HEADER).of(["2", "0"])
    )


def test_duration_is_counted_in_seconds(store: FrameStore, records: tuple[ClipRecord, ...]) -> None:
    found = SHORTCUTS["duration"](store, records, HEADER).features
    seconds = np.array([(5 + n) / 12 for n in range(3)])
    np.testing.assert_allclose(found, np.stack([seconds, np.log(seconds)], 1), rtol=1e-6)


def test_byte_size_is_that_of_the_file_or_of_all_its_frames(
    store: FrameStore, records: tuple[ClipRecord, ...], tmp_path: Path
) -> None:
    for name, size in (("1.jpg", 700), ("2.jpg", 800)):
        (tmp_path / name).write_bytes(bytes(size))
    mixed = (records[0]._replace(root=tmp_path, file="."), *records[1:])
    found = SHORTCUTS["byte-size"](store, mixed, HEADER).features
    sizes = np.array([1500] + [record.path.stat().st_size for record in records[1:]]) / 1000
    np.testing.assert_allclose(found, np.stack([sizes, np.log(sizes)], 1), rtol=1e-6)


def test_files_that_are_gone_are_named(store: FrameStore, records: tuple[ClipRecord, ...]) -> None:
    gone = (*records[:2], records[2]._replace(file="videos/gone.webm"))
    with pytest.raises(ResultError, match=r"gone\.webm: no file to take the size of"):
        SHORTCUTS["byte-size"](store, gone, HEADER)


@pytest.mark.parametrize("name", sorted(SHORTCUTS))
def test_clips_that_are_not_in_the_store_are_refused(
    name: str, store: FrameStore, records: tuple[ClipRecord, ...]
) -> None:
    read = SHORTCUTS[name]  # type: ignore[index]
    with pytest.raises(ValueError, match="lacks 1 clips, 'other' among them"):
        read(store, (records[0], records[1]._replace(clip_id="other")), HEADER)
    with pytest.raises(ValueError, match="no clips"):
        read(store, (), HEADER)


def batch_of(*clip_ids: str) -> Batch:
    parts = [
        np.random.default_rng(zlib.crc32(clip.encode())).integers(0, 256, (9, 4, 4, 3), np.uint8)
        for clip in clip_ids
    ]
    count = len(clip_ids)
    return Batch(
        clip_ids,
        torch.from_numpy(np.stack(parts)),
        torch.arange(count),
        torch.zeros((count, 0), dtype=torch.long),
    )


def test_shuffled_clips_keep_their_frames_and_lose_their_order() -> None:
    batch = batch_of("a", "b", "c")
    (shuffled,) = shuffled_time([batch], seed=0)
    assert shuffled.video.dtype == torch.uint8
    assert shuffled.clip_ids == batch.clip_ids
    assert torch.equal(shuffled.target, batch.target)
    orders = []
    for before, after in zip(batch.video, shuffled.video, strict=True):
        places = [
            [t for t, frame in enumerate(before) if torch.equal(frame, each)] for each in after
        ]
        orders.append([place[0] for place in places])
        assert sorted(orders[-1]) == list(range(9))
        assert orders[-1] != list(range(9))
    assert orders[0] != orders[1]


def test_a_clip_is_shuffled_alike_whatever_its_batch_and_by_its_seed_alone() -> None:
    together = next(shuffled_time([batch_of("a", "b", "c")], seed=3))
    apart = list(shuffled_time([batch_of("c"), batch_of("b", "a")], seed=3))
    assert torch.equal(together.video[2], apart[0].video[0])
    assert torch.equal(together.video[0], apart[1].video[1])
    other = next(shuffled_time([batch_of("a", "b", "c")], seed=4))
    assert not torch.equal(other.video, together.video)


SHAPE = compact_shape(spatial_widths=(4, 6), temporal_widths=(4, 6), lstm_width=8)


def make_videos(num_batches: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (4, 8, 12, 12, 3)
    return [
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        for _ in range(num_batches)
    ]


def test_the_first_norm_gets_the_mean_over_batches_of_what_it_sees() -> None:
    encoder = build_encoder(SHAPE, 0)
    assert encoder.temporal is not None
    norm = encoder.temporal.layers.get_submodule("0.1")
    assert isinstance(norm, nn.BatchNorm3d)
    seen: list[Tensor] = []
    handle = norm.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].detach()))
    calibrate_batch_norm(encoder, make_videos())
    handle.remove()
    assert len(seen) == 3
    means = torch.stack([maps.mean((0, 2, 3, 4)) for maps in seen])
    variances = torch.stack([maps.var((0, 2, 3, 4)) for maps in seen])
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert torch.allclose(norm.running_mean, means.mean(0), atol=1e-5)
    assert torch.allclose(norm.running_var, variances.mean(0), rtol=1e-3)


def test_nothing_but_the_statistics_changes() -> None:
    encoder = build_encoder(SHAPE, 0).eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    modes = [(norm.momentum, norm.training) for norm in norms(encoder)]
    calibrate_batch_norm(encoder, make_videos())
    changed = {
        name for name, value in encoder.state_dict().items() if not torch.equal(before[name], value)
    }
    assert changed
    assert all("running_" in name or "num_batches" in name for name in changed)
    assert [(norm.momentum, norm.training) for norm in norms(encoder)] == modes
    assert all(parameter.grad is None for parameter in encoder.parameters())


def norms(encoder: nn.Module) -> list[nn.BatchNorm3d]:
    return [module for module in encoder.modules() if isinstance(module, nn.BatchNorm3d)]


def test_what_was_estimated_before_is_forgotten() -> None:
    once, twice = build_encoder(SHAPE, 0), build_encoder(SHAPE, 0)
    calibrate_batch_norm(once, make_videos())
    calibrate_batch_norm(twice, make_videos(1))
    calibrate_batch_norm(twice, make_videos())
    after = twice.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in once.state_dict().items())


def test_calibrating_on_nothing_is_refused_and_changes_nothing() -> None:
    encoder = build_encoder(SHAPE, 0)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(ValueError, match="no batch of clips"):
        calibrate_batch_norm(encoder, [])
    after = encoder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert encoder.training


def test_norms_are_found_wherever_they_stand() -> None:
    assert has_batch_norm(build_encoder(SHAPE, 0))
    assert has_batch_norm(nn.Sequential(nn.Sequential(nn.BatchNorm2d(3))))
    assert not has_batch_norm(nn.Sequential(nn.LayerNorm(3), nn.GroupNorm(1, 3)))

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from taskgrain.data.batch import Batch
from taskgrain.data.encode import write_webm
from taskgrain.data.manifest import ClipRecord
from taskgrain.data.opening import read_manifest
from taskgrain.data.store import FrameFormat, FrameStore, write_shard
from taskgrain.errors import ResultError
from taskgrain.transfer.extract import SHORTCUTS, raw_pixels, shuffled_time
from tests.making import moving_square, row, write_annotations

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

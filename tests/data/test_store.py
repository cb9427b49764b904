from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from taskgrain.data import store as stores
from taskgrain.data.decode import decode_clip
from taskgrain.data.manifest import ClipRecord, Split
from taskgrain.data.store import (
    RAW,
    Encoding,
    FrameFormat,
    FrameStore,
    frames_path,
    shard_index,
    verify_shard,
    write_shard,
)
from taskgrain.errors import RunError
from tests.making import PUSH, moving_square, write_video

JPEG = Encoding(90)
ENCODINGS = pytest.mark.parametrize("encoding", [RAW, JPEG], ids=["raw", "jpeg"])
EVERY = slice(None)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[ClipRecord]:
    root = tmp_path_factory.mktemp("my clips")
    for number in range(6):
        write_video(root / f"{number}.webm", moving_square(6 + number))
    return [record(root, number) for number in range(6)]


def record(root: Path, number: int, excluded: str | None = None) -> ClipRecord:
    name = f"{number}.webm"
    return ClipRecord(str(number), Split.TRAIN, PUSH, ("a cup",), ("x",), root, name, excluded)


def written(folder: Path, records: list[ClipRecord], encoding: Encoding = RAW) -> Path:
    for shard in range(3):
        part = records[2 * shard : 2 * shard + 2]
        write_shard(folder, shard, part, FrameFormat(24, 28, encoding=encoding))
    return folder


def test_raw_frames_are_what_was_decoded(tmp_path: Path, records: list[ClipRecord]) -> None:
    store = FrameStore(written(tmp_path, records), range(3))
    assert (store.height, store.width, store.encoding, len(store)) == (24, 28, RAW, 6)
    for clip in records:
        decoded = decode_clip(clip.path, height=24, width=28).frames
        assert np.array_equal(store.frames(clip.clip_id), decoded)


def test_jpeg_frames_are_nearly_what_was_decoded(tmp_path: Path, records: list[ClipRecord]) -> None:
    store = FrameStore(written(tmp_path, records, Encoding(95)), range(3))
    for clip in records:
        decoded = decode_clip(clip.path, height=24, width=28).frames
        kept = store.frames(clip.clip_id)
        assert kept.shape == decoded.shape
        assert np.abs(kept.astype(int) - decoded.astype(int)).mean() < 6


def test_a_stored_image_is_a_jpeg_that_anything_reads(
    tmp_path: Path, records: list[ClipRecord]
) -> None:
    store = FrameStore(written(tmp_path, records, JPEG), 1)
    coded = frames_path(tmp_path, 0).read_bytes()
    sizes = np.frombuffer(coded[: 4 * 6], "<u4")
    image = cv2.imdecode(np.frombuffer(coded[24 : 24 + sizes[0]], np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert np.array_equal(image[:, :, ::-1], store.frames("0")[0])


@ENCODINGS
def test_reading_a_part_is_reading_all_and_cutting(
    tmp_path: Path, records: list[ClipRecord], encoding: Encoding
) -> None:
    store = FrameStore(written(tmp_path, records, encoding), 3)
    for indices in ([0], [3, 3, 1], list(range(7))):
        part = store.read("1", indices, slice(4, 20), slice(2, 27))
        assert part.shape == (len(indices), 16, 25, 3)
        assert np.array_equal(part, store.frames("1")[indices][:, 4:20, 2:27])
    assert np.array_equal(store.read("5", np.arange(11), EVERY, EVERY), store.frames("5"))


def test_only_the_frames_asked_for_are_decoded(tmp_path: Path, records: list[ClipRecord]) -> None:
    write_shard(tmp_path, 0, records[5:], FrameFormat(24, 24, encoding=JPEG))
    whole = FrameStore(tmp_path, 1).frames("5").copy()
    path = frames_path(tmp_path, 0)
    coded = np.frombuffer(path.read_bytes(), np.uint8).copy()
    ends = np.cumsum([4 * 11, *coded[: 4 * 11].view("<u4")])
    for index in set(range(11)) - {2, 8}:
        coded[ends[index] : ends[index + 1]] = 0
    path.write_bytes(coded.tobytes())
    store = FrameStore(tmp_path, 1)
    assert np.array_equal(store.read("5", [8, 2, 2], EVERY, EVERY), whole[[8, 2, 2]])
    with pytest.raises(RunError, match='frame 3 of clip "5"'):
        store.read("5", [2, 3], EVERY, EVERY)


@ENCODINGS
def test_a_range_of_shards_holds_its_own_clips(
    tmp_path: Path, records: list[ClipRecord], encoding: Encoding
) -> None:
    folder = written(tmp_path, records, encoding)
    every, part = FrameStore(folder, 3), FrameStore(folder, range(1, 2))
    assert [clip.clip_id for clip in records if clip.clip_id in part] == ["2", "3"]
    assert np.array_equal(part.frames("3"), every.frames("3"))
    assert part.num_frames("3") == 9


def test_few_shards_are_mapped_at_a_time(
    tmp_path: Path, records: list[ClipRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "MAX_MAPPED", 2)
    store = FrameStore(written(tmp_path, records), 3)
    assert len(store._mapped) == 0
    kept = {clip.clip_id: store.frames(clip.clip_id) for clip in records}
    assert len(store._mapped) == 2
    for clip in records:
        assert np.array_equal(kept[clip.clip_id], store.frames(clip.clip_id))


@ENCODINGS
def test_writing_again_gives_the_same_bytes(
    tmp_path: Path, records: list[ClipRecord], encoding: Encoding
) -> None:
    a, b = (written(tmp_path / name, records, encoding) for name in "ab")
    for shard in range(3):
        assert frames_path(a, shard).read_bytes() == frames_path(b, shard).read_bytes()
        assert shard_index(a, shard).read_bytes() == shard_index(b, shard).read_bytes()


def test_an_excluded_clip_is_not_decoded_and_stands_in_the_ledger(
    tmp_path: Path, records: list[ClipRecord]
) -> None:
    left_out = record(records[0].root, 1, "labelled by mistake")
    write_shard(tmp_path, 0, [records[0], left_out], FrameFormat(24, 24))
    store = FrameStore(tmp_path, 1)
    assert "1" not in store
    assert [(entry.clip_id, entry.state, entry.problem) for entry in store.ledger] == [
        ("1", "failed", "labelled by mistake")
    ]


def test_a_shard_without_a_whole_clip_is_a_shard(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [record(tmp_path, 0)], FrameFormat(24, 24))
    store = FrameStore(tmp_path, 1)
    assert len(store) == 0
    assert len(store.ledger) == 1
    assert verify_shard(tmp_path, 0) is None


@ENCODINGS
def test_a_changed_byte_is_found(
    tmp_path: Path, records: list[ClipRecord], encoding: Encoding
) -> None:
    folder = written(tmp_path, records, encoding)
    assert [verify_shard(folder, shard) for shard in range(3)] == [None] * 3
    path = frames_path(folder, 1)
    coded = bytearray(path.read_bytes())
    coded[-5] ^= 1
    path.write_bytes(coded)
    assert verify_shard(folder, 0) is None
    assert verify_shard(folder, 1) == f'{path}: clip "3" differs from its checksum'


def test_a_changed_index_is_found(tmp_path: Path, records: list[ClipRecord]) -> None:
    folder = written(tmp_path, records)
    path = shard_index(folder, 2)
    path.write_text(path.read_text().replace('"id": "4"', '"id": "9"'))
    assert verify_shard(folder, 2) == f"{path}: differs from its checksum"


def test_missing_and_cut_shards_are_told_apart(tmp_path: Path, records: list[ClipRecord]) -> None:
    folder = written(tmp_path, records)
    frames = frames_path(folder, 0)
    frames.write_bytes(frames.read_bytes()[:-1])
    frames_path(folder, 1).unlink()
    shard_index(folder, 2).unlink()
    said = [verify_shard(folder, shard) or "" for shard in range(3)]
    assert "bytes, expected" in said[0]
    assert ": 0 bytes, expected" in said[1]
    assert "not the index of a shard" in said[2]
    with pytest.raises(RunError, match=r"00002\.json: not the index of a shard"):
        FrameStore(folder, range(2, 3))


def test_a_store_of_an_older_format_is_refused(tmp_path: Path) -> None:
    old = {"format": 1, "height": 24, "width": 24, "clips": []}
    tmp_path.joinpath("00000.json").write_text(json.dumps(old))
    tmp_path.joinpath("00000.frames").write_bytes(b"")
    with pytest.raises(RunError, match=r"format 1, expected 2\); remove the run's caches"):
        FrameStore(tmp_path, 1)


def test_shards_of_different_settings_are_refused(
    tmp_path: Path, records: list[ClipRecord]
) -> None:
    write_shard(tmp_path, 0, records[:1], FrameFormat(24, 24))
    write_shard(tmp_path, 1, records[1:2], FrameFormat(24, 24, fit="crop"))
    with pytest.raises(RunError, match=r"fit crop, but the shards before it: .*fit stretch"):
        FrameStore(tmp_path, 2)


def test_a_damaged_image_is_named(tmp_path: Path, records: list[ClipRecord]) -> None:
    folder = written(tmp_path, records, JPEG)
    path = frames_path(folder, 0)
    coded = bytearray(path.read_bytes())
    coded[:8] = b"\0" * 8
    path.write_bytes(coded)
    with pytest.raises(RunError, match=r'frame 0 of clip "0" is damaged'):
        FrameStore(folder, 1).read("0", [0], EVERY, EVERY)


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_that_jpeg_does_not_have_is_refused(quality: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 100"):
        Encoding(quality)

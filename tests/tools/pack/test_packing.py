from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from taskgrain.data.decode import decode_clip
from taskgrain.data.opening import read_manifest
from taskgrain.data.packed import fingerprint, open_store, read_facts, shard_size
from taskgrain.data.store import Encoding, FrameFormat, FrameStore, shard_index, write_shard
from taskgrain.errors import ManifestError, RunError
from taskgrain.tools.pack import packing
from taskgrain.tools.pack.packing import PackSettings, PackSummary, pack_dataset
from tests.making import moving_square, row, write_annotations, write_video

pytestmark = pytest.mark.usefixtures("forked_workers")

SMALL = PackSettings(height=16, width=24)


def pack(root: Path, folder: Path, settings: PackSettings = SMALL, **options: bool) -> PackSummary:
    return pack_dataset(root, folder, settings, workers=1, quiet=True, **options)


@pytest.fixture(scope="module")
def packed(forked_workers: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with eight clips in `data`, packed into `store`: to be copied, not changed."""
    folder = tmp_path_factory.mktemp("packed")
    rows: list[object] = [row(str(n)) for n in range(8)]
    write_annotations(folder / "data", rows[:6], rows[6:])
    for n in range(8):
        write_video(folder / "data" / "videos" / f"{n}.webm", moving_square(20 + n))
    pack(folder / "data", folder / "store")
    return folder


@pytest.fixture
def data(packed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(packed / "data", tmp_path / "my clips")


@pytest.fixture
def store(packed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(packed / "store", tmp_path / "store")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_packed_store_holds_the_decoded_frames_of_every_clip(data: Path, store: Path) -> None:
    done = pack(data, store)
    frames = open_store(store)
    records = read_manifest(data).records
    assert len(records) == len(frames) == done.facts.clips == 8
    for record in records:
        whole = decode_clip(record.path, height=16, width=24).frames
        np.testing.assert_array_equal(frames.frames(record.clip_id), whole)
    assert done.frames == sum(20 + n for n in range(8))
    assert done.bytes == done.frames * 16 * 24 * 3
    assert (done.failed, done.truncated, done.facts.shards) == (0, 0, 2)


def test_the_store_says_how_it_was_packed(data: Path, store: Path) -> None:
    facts = read_facts(store)
    assert (facts.height, facts.width, facts.encoding, facts.fit) == (16, 24, "raw", "stretch")
    assert facts.frame_rate == 12
    assert facts.fingerprint == fingerprint(read_manifest(data).records)
    assert set(facts.libraries[0]) == {"av", "numpy", "opencv-python-headless"}
    assert facts.stored_as == Encoding()


def test_packing_again_packs_nothing_and_changes_no_byte(data: Path, store: Path) -> None:
    before = files_of(store)
    assert not any(name.startswith(".") for name in before)
    assert pack(data, store).packed_shards == 0
    assert files_of(store) == before


@pytest.mark.slow
def test_a_shard_that_is_not_there_is_packed_to_the_same_bytes(data: Path, store: Path) -> None:
    before = files_of(store)
    shard_index(store, 1).unlink()
    (store / ".00001.frames.4711.tmp").write_bytes(b"half of it")
    with pytest.raises(RunError, match="1 of 2 shards are not packed yet"):
        open_store(store)
    assert pack(data, store).packed_shards == 1
    assert files_of(store) == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (PackSettings(height=32, width=24), "height 16, not 32"),
        (PackSettings(height=16, width=24, fit="crop"), "fit stretch, not crop"),
        (PackSettings(height=16, width=24, encoding="jpeg"), "encoding raw, not jpeg"),
    ],
)
def test_other_settings_are_refused_with_the_difference(
    data: Path, store: Path, settings: PackSettings, said: str
) -> None:
    before = files_of(store)
    with pytest.raises(RunError, match=said):
        pack(data, store, settings)
    assert files_of(store) == before


def test_other_annotations_are_refused_with_the_difference(data: Path, store: Path) -> None:
    rows: list[object] = [row(str(n)) for n in range(1, 6)]
    write_annotations(data, rows, [row("6"), row("7"), row("new")])
    with pytest.raises(RunError, match=r"1 clip is new \(new\), 1 clip is gone \(0\)"):
        pack(data, store)
    write_annotations(data, [*rows[::-1], row("0")], [row("6"), row("7")])
    with pytest.raises(RunError, match="stand in another order"):
        pack(data, store)


def test_other_labels_of_the_same_clips_change_nothing(data: Path, store: Path) -> None:
    rows: list[object] = [row(str(n), "Squeezing [something]") for n in range(6)]
    write_annotations(data, rows, [row("6"), row("7")])
    assert pack(data, store).packed_shards == 0


@pytest.mark.slow
def test_a_clip_that_changed_is_packed_again_with_its_shard(data: Path, store: Path) -> None:
    write_video(data / "videos" / "5.webm", moving_square(9))
    assert pack(data, store).packed_shards == 1
    assert open_store(store).num_frames("5") == 9
    line = {"clip": "1", "state": "excluded", "problem": "a face is seen"}
    (data / "ledger.jsonl").write_text(json.dumps(line) + "\n")
    done = pack(data, store)
    assert (done.packed_shards, done.failed) == (1, 1)
    assert "1" not in open_store(store)


@pytest.mark.slow
def test_a_broken_clip_is_counted_and_named(data: Path, store: Path) -> None:
    (data / "videos" / "3.webm").write_bytes(b"no video at all")
    (data / "videos" / "4.webm").unlink()
    assert pack(data, store).failed == 2
    ledger = {entry.clip_id: entry.problem for entry in open_store(store).ledger}
    assert set(ledger) == {"3", "4"}
    assert "no such file" in ledger["4"]


@pytest.mark.slow
def test_a_damaged_shard_is_named_and_packed_again(data: Path, store: Path) -> None:
    before = files_of(store)
    frames = bytearray(before["00001.frames"])
    frames[1000] ^= 1
    (store / "00001.frames").write_bytes(frames)
    done = pack(data, store, verify=True)
    assert len(done.damaged) == done.packed_shards == 1
    assert "00001.frames" in done.damaged[0]
    assert files_of(store) == before
    assert pack(data, store, verify=True).damaged == ()


@pytest.mark.slow
def test_a_large_dataset_is_kept_as_jpeg_where_nothing_is_said(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = sum(20 + n for n in range(8)) * 16 * 24 * 3
    monkeypatch.setattr(packing, "RAW_BYTES", 0.9 * raw)
    done = pack(data, tmp_path / "store")
    assert (done.facts.encoding, done.facts.quality) == ("jpeg", 90)
    assert 0 < done.bytes < raw
    monkeypatch.setattr(packing, "RAW_BYTES", 1.1 * raw)  # a store keeps to what it began with
    assert pack(data, tmp_path / "store").facts.encoding == "jpeg"


def test_a_folder_with_other_files_is_refused_and_left_alone(data: Path) -> None:
    before = files_of(data)
    with pytest.raises(RunError, match="holds other files"):
        pack(data, data)
    assert files_of(data) == before


def test_a_folder_that_is_no_store_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no store\.json"):
        open_store(tmp_path)
    for text in ('{"format": 7}', "[]", "[" * 100_000, '{"format": 1}'):
        (tmp_path / "store.json").write_text(text)
        with pytest.raises(RunError, match=r"store\.json: cannot be read"):
            open_store(tmp_path)


def test_annotations_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    write_annotations(tmp_path / "data", [row("1"), {"id": "2"}], [row("3")])
    with pytest.raises(ManifestError, match=r"train\.json:3"):
        pack(tmp_path / "data", tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("clips", "size"), [(1, 4), (128, 4), (1000, 32), (2048, 64), (10**6, 64)])
def test_small_datasets_have_small_shards(clips: int, size: int) -> None:
    assert shard_size(clips) == size


def test_a_store_is_that_of_its_shards_written_one_by_one(
    data: Path, store: Path, tmp_path: Path
) -> None:
    records = read_manifest(data).records
    for shard in range(2):
        part = records[4 * shard : 4 * shard + 4]
        write_shard(tmp_path / "alone", shard, part, FrameFormat(16, 24))
    assert len(FrameStore(tmp_path / "alone", 2)) == 8
    packed = files_of(store)
    assert files_of(tmp_path / "alone").items() <= packed.items()


@pytest.mark.slow
def test_a_clip_of_equal_size_and_another_time_is_packed_again(data: Path, store: Path) -> None:
    video = data / "videos" / "5.webm"
    now = video.stat().st_mtime_ns + 10**9
    os.utime(video, ns=(now, now))
    assert pack(data, store).packed_shards == 1
    assert pack(data, store).packed_shards == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "cut",
    ["in a line", *(pytest.param(c, marks=pytest.mark.slow) for c in ("at its end", "", "gone"))],
)
def test_a_cut_list_of_clips_is_mended_by_verify(data: Path, store: Path, cut: str) -> None:
    before = files_of(store)
    lines = before["clips.jsonl"].splitlines(keepends=True)
    left = {
        "in a line": b"".join(lines[:5]) + lines[5][:9],
        "at its end": b"".join(lines[:5]),
        "": b"\xff",
    }
    (store / "clips.jsonl").unlink()
    if cut in left:
        (store / "clips.jsonl").write_bytes(left[cut])
    with pytest.raises(RunError, match=r"clips\.jsonl.*--verify"):
        pack(data, store)
    done = pack(data, store, verify=True)
    known, shards = (5, 1) if cut in ("in a line", "at its end") else (0, 2)
    assert (done.damaged, done.packed_shards) == (
        (f"{store / 'clips.jsonl'}: {known} of 8 clips could be read",),
        shards,
    )
    assert files_of(store) == before


def test_a_cut_list_is_not_mended_from_other_annotations(data: Path, store: Path) -> None:
    (store / "clips.jsonl").write_bytes(b"")
    write_annotations(data, [row("1")], [row("2")])
    before = files_of(store)
    with pytest.raises(RunError, match="other annotations than the store was packed from"):
        pack(data, store, verify=True)
    assert files_of(store) == before


@pytest.mark.slow
def test_a_file_name_that_is_no_text_is_packed(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_video(root / "a" / "1.mp4", moving_square(20))
    (root / "b").mkdir()
    try:
        (root / "b" / os.fsdecode(b"\xff.mp4")).write_bytes(b"no video")
        shutil.copy(root / "a" / "1.mp4", root / "b" / os.fsdecode(b"\xfe.mp4"))
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    done = pack(root, tmp_path / "store")
    assert (done.facts.clips, done.failed) == (3, 1)
    (entry,) = open_store(tmp_path / "store").ledger
    assert r"\udcff.mp4" in entry.problem
    assert pack(root, tmp_path / "store", verify=True).packed_shards == 0

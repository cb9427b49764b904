from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.data.inspect import read_header
from taskgrain.data.opening import read_manifest
from taskgrain.data.store import DECODE_SECONDS
from taskgrain.study.datasets import SAMPLED_CLIPS, Footage, footage_of
from tests.making import moving_square, row, write_annotations, write_video


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Ten clips of 1 to 2 seconds."""
    rows: list[object] = [row(str(n)) for n in range(10)]
    write_annotations(tmp_path, rows[:6], rows[6:])
    for n in range(10):
        write_video(tmp_path / "videos" / f"{n}.webm", moving_square(12 + n))
    return tmp_path


def test_a_small_dataset_is_described_by_all_its_headers(clips: Path) -> None:
    headers = [read_header(clips / "videos" / f"{n}.webm") for n in range(10)]
    known = [header for header in headers if header is not None]
    found = footage_of(read_manifest(clips).records)
    assert (found.clips, found.absent, found.first_absent, found.sampled) == (10, 0, None, 10)
    assert found.clip_seconds == pytest.approx(sum(each.seconds for each in known) / 10)
    assert found.decode_seconds == pytest.approx(sum(each.decode_seconds for each in known) / 10)
    assert found.seconds_per_clip == found.decode_seconds


def test_absent_clips_are_counted_and_cost_nothing(clips: Path) -> None:
    for n in (1, 2, 3, 8, 9):
        (clips / "videos" / f"{n}.webm").unlink()
    records = read_manifest(clips).records
    found = footage_of(records)
    assert (found.clips, found.absent, found.sampled) == (10, 5, 5)
    assert found.first_absent == next(each.file for each in records if each.clip_id == "1")
    assert found.seconds_per_clip == pytest.approx(found.decode_seconds / 2)


def test_of_many_clips_a_few_at_even_distances_are_read(clips: Path) -> None:
    records = read_manifest(clips).records
    ten_times_each = tuple(record for record in records for _ in range(10))
    found = footage_of(ten_times_each)
    assert (found.clips, found.sampled) == (100, SAMPLED_CLIPS)
    assert found.clip_seconds == pytest.approx(footage_of(records).clip_seconds or 0, rel=0.02)
    assert footage_of(ten_times_each) == found


def test_without_a_header_a_small_clip_is_assumed(clips: Path) -> None:
    for n in range(10):
        (clips / "videos" / f"{n}.webm").write_bytes(b"broken")
    expected = Footage(10, 0, None, 0, None, DECODE_SECONDS)
    assert footage_of(read_manifest(clips).records) == expected
    assert footage_of(()) == Footage(0, 0, None, 0, None, DECODE_SECONDS)

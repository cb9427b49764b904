from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from taskgrain.data.decode import decode_clip
from taskgrain.data.manifest import Split
from taskgrain.data.opening import read_dataset, read_manifest
from taskgrain.errors import ClipError, RunError
from taskgrain.tools.cut.clips import TASKS, TaskName
from taskgrain.tools.cut.cutting import CutSettings, CutSummary, cut_dataset, outline_cut
from tests.making import moving_square, write_video

pytestmark = pytest.mark.usefixtures("forked_workers")

SMALL = CutSettings("forward-or-reversed", seconds=0.5, clips_per_file=3, height=32, width=48)


def cut(videos: Path, folder: Path, settings: CutSettings = SMALL, workers: int = 1) -> CutSummary:
    return cut_dataset(videos, folder, settings, workers=workers, quiet=True)


def files_of(folder: Path) -> dict[str, bytes]:
    paths = folder.rglob("*")
    return {str(each.relative_to(folder)): each.read_bytes() for each in paths if each.is_file()}


def footage(folder: Path, count: int = 3) -> Path:
    """Videos of 2 s and one that is none."""
    for n in range(count):
        write_video(folder / f"rec {n}" / "a.mp4", moving_square(24 + 4 * n, size=48))
    (folder / "broken.webm").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def made(forked_workers: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Footage in `videos` and a target cut from it in `data`: to be copied, not changed."""
    folder = tmp_path_factory.mktemp("made")
    footage(folder / "videos")
    cut(folder / "videos", folder / "data")
    return folder


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "data", tmp_path / "data")


def rows_of(path: Path) -> list[Mapping[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_target_is_a_dataset_with_both_sides_of_every_window(made: Path) -> None:
    reading = read_dataset(made / "data")
    assert reading.problems == ()
    manifest = read_manifest(made / "data")
    assert manifest.taxonomy.categories == ("forward", "reversed")
    assert len(manifest.records) == 18
    pairs: dict[str, list[str]] = {}
    for record in manifest.records:
        stem, _, side = record.clip_id.rpartition("-")
        assert side == record.category == record.caption
        pairs.setdefault(f"{record.split} {stem}", []).append(side)
    assert len(pairs) == 9
    assert all(sorted(sides) == ["forward", "reversed"] for sides in pairs.values())
    assert {record.path for record in manifest.records} == set((made / "data/videos").iterdir())


def test_no_file_lies_on_both_sides_of_the_split(made: Path) -> None:
    manifest = read_manifest(made / "data")
    origin = {str(row["id"]): str(row["file"]) for row in rows_of(made / "data/factors.jsonl")}
    files = {
        split: {origin[record.clip_id] for record in manifest.split(split)}
        for split in (Split.TRAIN, Split.VALIDATION)
    }
    assert files[Split.TRAIN] & files[Split.VALIDATION] == set()
    assert files[Split.TRAIN] | files[Split.VALIDATION] == {f"rec {n}/a.mp4" for n in range(3)}


def test_clips_are_the_footage_at_the_time_that_factors_say(made: Path) -> None:
    for row in rows_of(made / "data/factors.jsonl"):
        start = row["start"]
        assert isinstance(start, float)
        source = decode_clip(
            made / "videos" / str(row["file"]), height=32, width=48, fit="crop"
        ).frames
        window = source[round(start * 12) :][:6].astype(float)
        clip = decode_clip(
            made / f"data/videos/{row['id']}.webm", height=32, width=48
        ).frames.astype(float)
        expected = window if str(row["id"]).endswith("forward") else window[::-1]
        assert np.abs(clip - expected).mean() < 6


def test_neither_bytes_nor_frames_nor_pixels_of_the_file_tell_the_sides_apart(made: Path) -> None:
    videos = sorted((made / "data/videos").glob("*-forward.webm"))
    assert len(videos) == 9
    for forward in videos:
        reverse = forward.with_name(forward.name.replace("forward", "reversed"))
        assert forward.stat().st_size == reverse.stat().st_size
        there, back = (decode_clip(path, height=32, width=48).frames for path in (forward, reverse))
        np.testing.assert_array_equal(there, back[::-1])


def test_every_file_of_the_footage_is_accounted_for(made: Path) -> None:
    lines = rows_of(made / "data/files.jsonl")
    assert [line["file"] for line in lines] == ["broken.webm"] + [
        f"rec {n}/a.mp4" for n in range(3)
    ]
    assert [line["state"] for line in lines] == ["failed"] + ["whole"] * 3
    assert str(lines[0]["problem"]).startswith("not a video that can be opened")
    assert [line["windows"] for line in lines] == [0, 3, 3, 3]


def test_cutting_again_cuts_nothing_and_changes_no_byte(made: Path, data: Path) -> None:
    before = files_of(data)
    assert {path.name for path in data.iterdir() if path.name.startswith(".")} == set()
    done = cut(made / "videos", data)
    assert files_of(data) == before
    assert done.clips in ({"train": 12, "validation": 6}, {"train": 6, "validation": 12})
    assert (done.found, done.failed, done.truncated) == (4, 1, 0)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (replace(SMALL, seconds=1.0), r"cut with seconds 0\.5, not 1\.0: give its own"),
        (replace(SMALL, seed=3, width=64), "width 48, not 64; seed 0, not 3"),
        (replace(SMALL, task="real-or-frozen"), "task forward-or-reversed, not real-or-frozen"),
    ],
)
def test_other_settings_are_refused_with_the_difference(
    other: CutSettings, said: str, made: Path, data: Path
) -> None:
    before = files_of(data)
    with pytest.raises(RunError, match=said):
        cut(made / "videos", data, other)
    assert files_of(data) == before


def test_other_footage_is_refused_with_the_difference(
    made: Path, data: Path, tmp_path: Path
) -> None:
    videos = shutil.copytree(made / "videos", tmp_path / "videos")
    (videos / "broken.webm").write_bytes(b"mended")
    (videos / "rec 0" / "a.mp4").rename(videos / "new.mp4")
    with pytest.raises(RunError) as refused:
        cut(videos, data)
    assert "less footage than there is now (new.mp4); footage that is gone (rec 0/a.mp4); " in str(
        refused.value
    )
    assert "footage that has changed (broken.webm)" in str(refused.value)


def test_folders_that_cannot_be_written_to_are_refused_and_left_alone(
    made: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"holds other files \(notes\.txt, \.\.\.\)"):
        cut(made / "videos", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(RunError, match="lies within"):
        cut(made / "videos", made / "videos" / "data")
    assert not (made / "videos" / "data").exists()


@pytest.mark.slow
def test_too_little_footage_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    footage(tmp_path / "videos", count=1)
    with pytest.raises(ClipError, match=r"from 1 recording; (.|\n)*broken\.webm: not a video"):
        cut(tmp_path / "videos", tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"height": 31}, "even"),
        ({"width": 0}, "even"),
        ({"seconds": 0.3}, "at least 0.5 s"),
        ({"clips_per_file": 0}, "at least 1"),
    ],
)
def test_settings_that_make_no_clip_are_refused(change: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **change)  # type: ignore[arg-type]


@pytest.mark.slow
def test_files_of_one_recording_stay_together(tmp_path: Path) -> None:
    footage(tmp_path / "videos", count=4)
    groups = tmp_path / "groups.csv"
    groups.write_text("file,group\n" + "".join(f"rec {n}/a.mp4,one\n" for n in range(3)))
    cut_dataset(tmp_path / "videos", tmp_path / "data", SMALL, groups=groups, workers=1, quiet=True)
    split_of = {row["file"]: row["split"] for row in rows_of(tmp_path / "data/files.jsonl")}
    assert len({split_of[f"rec {n}/a.mp4"] for n in range(3)}) == 1
    assert split_of["rec 3/a.mp4"] != split_of["rec 0/a.mp4"]
    with pytest.raises(RunError, match="other groups"):
        cut(tmp_path / "videos", tmp_path / "data")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TASKS))
def test_real_footage_serves_every_task(name: TaskName, media: Path, tmp_path: Path) -> None:
    settings = CutSettings(name, seconds=1.0, clips_per_file=4)
    done = cut(media, tmp_path / "one", settings)
    assert outline_cut(media, settings, workers=1, quiet=True) == done
    assert (done.found, done.failed) == (17, 4)
    assert min(done.clips.values()) >= 8
    for first in (tmp_path / "one/videos").glob(f"*-{TASKS[name].sides[0]}.webm"):
        second = first.with_name(first.name.replace(*TASKS[name].sides))
        assert first.stat().st_size == second.stat().st_size
        frames = [decode_clip(each, height=96, width=128).frames for each in (first, second)]
        assert [len(each) for each in frames] == [12, 12]
        assert (frames[0] != frames[1]).any()


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(made: Path, tmp_path: Path) -> None:
    settings = replace(SMALL, task="real-or-frozen")
    cut(made / "videos", tmp_path / "one", settings)
    cut(made / "videos", tmp_path / "two", settings, workers=2)
    assert files_of(tmp_path / "two") == files_of(tmp_path / "one")


CUT = """
import sys
from pathlib import Path
from taskgrain.tools.cut.cutting import CutSettings, cut_dataset

if __name__ == "__main__":
    settings = CutSettings("ordered-or-shuffled", 0.5, 30, 64, 64)
    cut_dataset(Path(sys.argv[1]), Path(sys.argv[2]), settings, workers=2, quiet=True)
"""


@pytest.mark.slow
def test_a_cutting_that_is_killed_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    for n in range(4):
        frames = np.concatenate([moving_square(60 + n, size=48), moving_square(60, size=48)[::-1]])
        write_video(videos / f"{n}.mp4", frames)
    settings = CutSettings("ordered-or-shuffled", 0.5, 30, 64, 64)
    cut(videos, tmp_path / "whole", settings)
    expected = files_of(tmp_path / "whole")
    script = tmp_path / "cut.py"
    script.write_text(CUT)
    folder, killed = tmp_path / "data", 0
    for pattern, count in (("looks/*.looked", 1), ("../videos/*.webm", 20), ("*.cut", 3)):
        process = subprocess.Popen([sys.executable, script, videos, folder], start_new_session=True)
        while process.poll() is None and len(list((folder / ".cutting").glob(pattern))) < count:
            time.sleep(0.002)
        killed += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert killed
    (folder / "videos").mkdir(exist_ok=True)
    (folder / "videos" / ".00000-000000-ordered.webm.4711.tmp").write_bytes(b"half of it")
    cut(videos, folder, settings)
    assert files_of(folder) == expected

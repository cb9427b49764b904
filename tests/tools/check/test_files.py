from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from taskgrain.data.companions import bytes_of
from taskgrain.data.videos import stamp_of
from taskgrain.errors import StoppedError
from taskgrain.tools.check.checking import check_dataset
from taskgrain.tools.check.files import (
    FactsFolder,
    FileFacts,
    find_unnamed,
    inspect_bucket,
    left_out,
)
from taskgrain.tools.check.report import CheckReport
from tests.data.test_streams import write_numbered
from tests.making import PUSH, moving_square, row, write_annotations, write_video
from tests.making import moving_square as square

pytestmark = pytest.mark.usefixtures("forked_workers")


class Idle:
    """A worker that is told to stop after so many files."""

    def __init__(self, stop_after: int = 1000, watched: Path | None = None) -> None:
        self.files = 0
        self.seen: list[str] = []
        self._stop_after = stop_after
        self._watched = watched

    def report(self, cost: float) -> None: ...

    def advance(self, cost: float) -> None:
        self.files += 1
        self.seen += [path.read_text() for path in self._watched.iterdir()] if self._watched else []
        if self.files >= self._stop_after:
            raise StoppedError

    def stopping(self) -> bool:
        return False


def facts_of(file: str) -> FileFacts:
    return FileFacts(file, 10, 20, "whole", frames=3, content="ab" * 16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n in range(3):
        write_video(tmp_path / f"{n}.webm", moving_square(20 + n))
    return tmp_path


FILES = ("0.webm", "1.webm", "2.webm")


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 64), st.integers(1, 64))
def test_facts_are_found_again_when_the_dataset_grows_or_shrinks(before: int, after: int) -> None:
    files = [f"videos/{n}.webm" for n in range(40)]
    with tempfile.TemporaryDirectory() as folder:
        old = FactsFolder.sized(Path(folder), before * 64)
        for bucket in range(old.count):
            own = [facts_of(file) for file in files if old.bucket_of(file) == bucket]
            if own:
                old.write(bucket, own)
        new = FactsFolder.sized(Path(folder), after * 64)
        for file in files:
            assert new.read(new.bucket_of(file), {file}) == {file: facts_of(file)}


def test_a_dataset_has_few_clips_in_a_bucket(tmp_path: Path) -> None:
    assert FactsFolder.sized(tmp_path, 0).count == 16
    assert FactsFolder.sized(tmp_path, 1024).count == 16
    assert FactsFolder.sized(tmp_path, 220_847).count == 4096


def test_older_buckets_are_removed(tmp_path: Path) -> None:
    old, new = FactsFolder(tmp_path, 16), FactsFolder(tmp_path, 32)
    old.write(0, [facts_of("a")])
    new.write(0, [facts_of("a")])
    new.drop_older()
    assert [path.name for path in tmp_path.iterdir()] == [new.path(0).parent.name]


def test_a_line_that_cannot_be_read_is_as_if_it_was_not(tmp_path: Path) -> None:
    folder = FactsFolder(tmp_path, 16)
    folder.write(0, [facts_of("a"), facts_of("b")])
    path = folder.path(0)
    path.write_text('{"file": "c"}\nnull\n{"half\n' + path.read_text().splitlines()[1])
    assert folder.read(0, {"a", "b", "c"}) == {"b": facts_of("b")}


def test_a_name_that_is_no_text_can_be_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"clip-\xff.mp4")
    folder = FactsFolder(tmp_path, 16)
    folder.write(folder.bucket_of(name), [facts_of(name)])
    assert folder.read(folder.bucket_of(name), {name}) == {name: facts_of(name)}


def test_only_new_and_changed_files_are_decoded(root: Path) -> None:
    folder, first, second = FactsFolder(root / "state", 16), Idle(), Idle()
    inspect_bucket(first, root, folder, 0, (*FILES, "missing.webm"))
    assert first.files == 3
    write_video(root / "1.webm", moving_square(7))
    inspect_bucket(second, root, folder, 0, FILES)
    assert second.files == 1
    assert {name: facts.frames for name, facts in folder.read(0, FILES).items()} == {
        "0.webm": 20,
        "1.webm": 7,
        "2.webm": 22,
    }


def test_a_stopped_inspection_has_written_what_it_did(root: Path) -> None:
    folder = FactsFolder(root / "state", 16)
    with pytest.raises(StoppedError):
        inspect_bucket(Idle(stop_after=2), root, folder, 0, FILES)
    assert set(folder.read(0, FILES)) == {"0.webm", "1.webm"}


def test_a_file_that_is_no_video_has_facts_too(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"nothing")
    folder = FactsFolder(tmp_path / "state", 16)
    inspect_bucket(Idle(), tmp_path, folder, 0, ("clip.mp4",))
    facts = folder.read(0, {"clip.mp4"})["clip.mp4"]
    assert (facts.state, facts.frames, facts.bytes) == ("failed", 0, 7)
    assert facts.problem is not None
    assert facts.problem.startswith("clip.mp4: ")
    assert str(tmp_path) not in facts.problem


def test_a_stamp_has_the_bytes_that_the_ledger_counts(root: Path) -> None:
    frames = root / "frames"
    (frames / "thumbnails").mkdir(parents=True)
    for n in range(3):
        (frames / f"{n}.jpg").write_bytes(b"x" * n)
    for path in (root / "0.webm", frames, root / "missing.webm"):
        stamp = stamp_of(path)
        assert (None if stamp is None else stamp.bytes) == bytes_of(path)
    before = stamp_of(frames)
    os.utime(frames / "1.jpg", ns=(0, 2**62))
    assert stamp_of(frames) != before


def test_the_file_under_way_is_named_while_it_is_decoded(root: Path) -> None:
    folder = FactsFolder(root / "state", 16)
    worker = Idle(watched=folder.under_way)
    inspect_bucket(worker, root, folder, 0, FILES)
    assert worker.seen == list(FILES)
    assert list(folder.under_way.iterdir()) == []


def test_videos_that_no_row_names_are_found_below_every_folder(tmp_path: Path) -> None:
    for file in (
        *("videos/1.webm", "videos/2.MP4", "videos/.3.webm", "videos/notes.txt"),
        *("extra/deep/4.mkv", ".hidden/5.webm", "frames/6/00001.jpg", "frames/6/odd.mp4"),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "videos" / "loop").symlink_to(tmp_path)
    (tmp_path / "videos" / "itself").symlink_to("itself")
    named = {"videos/1.webm", "frames/6"}
    found = [Path(file).name for file in find_unnamed(tmp_path, named).videos]
    assert {"2.MP4", "4.mkv"} <= set(found)
    assert not set(found) & {".3.webm", "5.webm", "notes.txt"}


def notes_of(root: Path) -> dict[str, list[tuple[str, str | None]]]:
    report = check_dataset(root, workers=1, quiet=True)
    return {
        kind: [(entry.name, entry.text) for entry in found.entries()]
        for kind, found in report.notes.items()
        if kind in ("left-out", "other-file")
    }


def three_classes(root: Path) -> Path:
    for name in ("wave", "clap", "jump"):
        for number in range(6):
            write_video(root / name / f"{number}.avi", moving_square(6 + number))
    return root


def test_a_class_whose_ending_is_not_known_is_named_as_left_out(tmp_path: Path) -> None:
    root = three_classes(tmp_path / "clips")
    for path in (root / "jump").iterdir():
        path.rename(path.with_suffix(".xyz"))
    found = notes_of(root)
    said = "6 files, jump/0.xyz is AVI by its content: call it *.avi"
    assert found == {"left-out": [("jump/*.xyz", said)]}


def test_folders_of_images_that_are_not_read_are_named_as_left_out(tmp_path: Path) -> None:
    root = three_classes(tmp_path / "clips")
    for clip in range(12):
        folder = root / "run" / f"{clip:02d}"
        folder.mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (16, 16)).save(folder / f"{number}.jp2")
    said = "36 files, run/00/0.jp2 is JPEG 2000 by its content: convert it to a kind that is read"
    assert notes_of(root) == {"left-out": [("run/*.jp2", said)]}


def test_what_is_neither_picture_nor_video_is_counted_apart(tmp_path: Path) -> None:
    root = three_classes(tmp_path / "clips")
    (root / "jump" / "points.npy").write_bytes(b"\x93NUMPY")
    for name in ("README", "notes.txt", "sound.wav"):
        (root / name).write_text("none of these is asked after")
    assert notes_of(root) == {"other-file": [("jump/*.npy", "1 file")]}
    (root / "jump" / "clip").write_bytes((root / "wave" / "0.avi").read_bytes())
    assert [name for name, _ in notes_of(root)["left-out"]] == ["jump/*"]


@pytest.mark.parametrize("most", [3, 30])
def test_folders_are_told_apart_while_they_are_few(tmp_path: Path, most: int) -> None:
    for clip in range(most):
        for name in ("wave", "clap"):
            path = tmp_path / name / f"{clip}" / "a.xyz"
            path.parent.mkdir(parents=True)
            path.touch()
    found = left_out(tmp_path, find_unnamed(tmp_path, frozenset()))
    wheres = [each.where for each in found]
    if most == 3:
        assert wheres == [f"{name}/{clip}/*.xyz" for name in ("clap", "wave") for clip in range(3)]
    else:
        assert wheres == ["clap/*.xyz", "wave/*.xyz"]
        assert {each.text for each in found} == {"30 files"}


def check(root: Path) -> CheckReport:
    return check_dataset(root, workers=1, quiet=True)


def test_clips_that_may_not_be_what_was_meant_are_noted(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    write_annotations(root, [row("whole", PUSH), row("jumps", PUSH)], [row("beside", PUSH)])
    (root / "videos" / "beside").mkdir(parents=True)
    write_video(root / "videos" / "whole.mp4", square(12))
    times = [0.0, *(500 + index / 12 for index in range(1, 36))]
    write_numbered(root / "videos" / "jumps.mkv", 36, times=times)
    for name in ("img", "depth"):
        for index in range(12):
            image = Image.new("RGB", (32, 32), (20 * index,) * 3)
            image.save(root / "videos" / "beside" / f"{name}_{index}.png")
    report = check(root)
    assert report.is_sound
    said = {entry.name: entry.text for entry in report.notes["doubtful"].entries()}
    assert said == {
        "beside": "12 images beside the frames are passed over: depth_#",
        "jumps": "1 of 36 frames stands for 500.1 of 503.0 s: the clock jumped, or the picture "
        "stood still",
    }


def test_what_was_found_by_older_rules_is_found_anew(tiny_dataset: Path) -> None:
    assert check(tiny_dataset).inspected == 8
    facts = next((tiny_dataset / ".taskgrain" / "check").glob("facts-*"))
    number, count = facts.name.split("-")[1:]
    assert int(number) > 1
    older = facts.with_name(f"facts-{int(number) - 1}-{count}")
    shutil.move(facts, older)
    assert check(tiny_dataset).inspected == 8
    assert not older.exists()
    assert check(tiny_dataset).known == 8

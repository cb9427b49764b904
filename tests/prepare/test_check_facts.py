from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.data.ledger import bytes_of
from taskgrain.data.videos import stamp_of
from taskgrain.errors import StoppedError
from taskgrain.prepare.check_facts import FactsFolder, FileFacts, inspect_bucket
from tests.making import moving_square, write_video


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

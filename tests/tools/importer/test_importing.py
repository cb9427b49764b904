from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import read_dataset, read_manifest
from taskgrain.errors import RunError
from taskgrain.tools.importer.importing import outline, write_dataset


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "phone clips"
    for name in ("Opening [something]", "wave"):
        (root / name).mkdir(parents=True)
        for number in range(4):
            (root / name / f"{number}.MP4").write_bytes(b"%d" % number)
    (root / "wave" / "frames").mkdir()
    (root / "wave" / "frames" / "1.jpg").write_bytes(b"jpg")
    (root / "hierarchy.csv").write_text("category,kind\nOpening something,hand\nwave,hand\n")
    (root / "ledger.jsonl").write_text(
        '{"clip": "wave-1", "state": "excluded", "problem": "dark", "bytes": 1}\n'
    )
    return root


def same(a: Manifest, b: Manifest) -> None:
    def facts(manifest: Manifest) -> list[object]:
        return [(r.clip_id, r.split, r.template, r.placeholders, r.captions, r.excluded)
                for r in manifest.records]  # fmt: skip

    assert facts(a) == facts(b)
    assert a.records
    assert a.taxonomy == b.taxonomy
    assert a.test_ids == b.test_ids


def tree(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("copy", [False, True])
def test_what_is_written_reads_as_what_was_read(source: Path, tmp_path: Path, copy: bool) -> None:
    manifest = read_manifest(source)
    folder = tmp_path / "new" / "dataset"
    write_dataset(manifest, folder, copy=copy)
    written = read_manifest(folder)
    same(written, manifest)
    assert written.taxonomy.names("kind") == ("hand",)
    for ours, theirs in zip(written.records, manifest.records, strict=True):
        assert ours.path.is_symlink() is not copy
        if theirs.path.is_dir():
            assert (ours.path / "1.jpg").read_bytes() == b"jpg"
        else:
            assert ours.path.read_bytes() == theirs.path.read_bytes()


def test_links_hold_when_both_folders_move_together(source: Path, tmp_path: Path) -> None:
    write_dataset(read_manifest(source), tmp_path / "dataset")
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    try:
        assert all(record.path.exists() for record in read_manifest(moved / "dataset").records)
    finally:
        moved.rename(tmp_path)


def test_links_hold_through_a_linked_folder(source: Path, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "short").symlink_to(tmp_path / "deep" / "er")
    write_dataset(read_manifest(source), tmp_path / "short" / "dataset")
    records = read_manifest(tmp_path / "short" / "dataset").records
    assert all(record.path.exists() for record in records)


@pytest.mark.parametrize("copy", [False, True])
def test_a_stopped_import_goes_on_to_the_same_files(
    source: Path, tmp_path: Path, copy: bool
) -> None:
    manifest = read_manifest(source)
    write_dataset(manifest, tmp_path / "whole", copy=copy)

    def stop(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(manifest, tmp_path / "part", copy=copy, advance=stop)
    assert not (tmp_path / "part" / "train.json").exists()
    (tmp_path / "part" / "videos" / ".0.mp4.99.tmp").write_bytes(b"half")
    write_dataset(manifest, tmp_path / "part", copy=copy)
    assert tree(tmp_path / "part") == tree(tmp_path / "whole")


def test_importing_again_takes_what_is_new(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    write_dataset(read_manifest(source), folder, copy=True)
    (source / "wave" / "9.MP4").write_bytes(b"new")
    (source / "wave" / "0.MP4").write_bytes(b"changed")
    (source / "wave" / "2.MP4").rename(source / "wave" / "2.webm")
    (source / "ledger.jsonl").unlink()
    manifest = read_manifest(source, options=LayoutOptions(seed=3))
    write_dataset(manifest, folder, copy=True)
    written = read_manifest(folder)
    same(written, manifest)
    assert {r.path.name for r in written.records} >= {"wave-9.mp4", "wave-2.webm"}
    assert not (folder / "videos" / "wave-2.mp4").exists()
    assert (folder / "videos" / "wave-0.mp4").read_bytes() == b"changed"


def test_a_folder_with_other_files_is_refused_and_stays_as_it_was(
    source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "summer.jpg").touch()
    with pytest.raises(RunError, match=r"holds other files \(summer\.jpg"):
        write_dataset(read_manifest(source), folder)
    assert [path.name for path in folder.iterdir()] == ["summer.jpg"]


def test_an_import_of_another_folder_is_refused(source: Path, tmp_path: Path) -> None:
    write_dataset(read_manifest(source), tmp_path / "dataset")
    other = tmp_path / "other"
    source.rename(other)
    with pytest.raises(RunError, match=r"phone clips.*choose another folder for .*other"):
        write_dataset(read_manifest(other), tmp_path / "dataset")


def test_a_folder_within_the_data_is_refused(source: Path) -> None:
    for folder in (source, source / "imported"):
        with pytest.raises(RunError, match="lies within"):
            write_dataset(read_manifest(source), folder)
    assert not (source / "imported").exists()


def test_test_clips_and_missing_videos_are_written_as_rows(tmp_path: Path) -> None:
    root = tmp_path / "lists"
    root.mkdir()
    (root / "list.csv").write_text("path,label,split\na.mp4,x,train\nb.mp4,y,val\nc.mp4,x,test\n")
    (root / "c.mp4").touch()
    (root / "b.mp4").touch()
    write_dataset(read_manifest(root), tmp_path / "ids")
    assert read_manifest(tmp_path / "ids").test_ids == ("c",)
    videos = {path.name for path in (tmp_path / "ids" / "videos").iterdir()}
    assert videos == {"b.mp4", "c.mp4"}
    manifest = read_manifest(root, options=LayoutOptions(test_answers=True))
    write_dataset(manifest, tmp_path / "answers")
    assert [r.category for r in read_manifest(tmp_path / "answers").split(Split.TEST)] == ["x"]


def test_an_outline_counts_what_would_be_written(source: Path) -> None:
    (source / "wave" / "3.MP4").unlink()
    found = outline(read_dataset(source))
    assert found.clips == {"train": 4, "validation": 4, "test": 0}
    assert found.classes == {"train": 2, "validation": 2, "test": 0}
    assert (found.num_found, found.missing, found.problems) == (8, (), ())
    assert json.loads(json.dumps(found.to_json()))["videos"] == {"found": 8, "missing": 0}


@pytest.mark.parametrize("copy", [False, True])
def test_importing_again_removes_what_the_source_has_lost_and_nothing_else(
    source: Path, tmp_path: Path, copy: bool
) -> None:
    folder = tmp_path / "dataset"
    (source / "hierarchy.csv").unlink()
    (source / "list.csv").write_text(
        "path,label\n" + "".join(f"wave/{n}.MP4,wave{n % 2}\n" for n in range(4))
    )
    write_dataset(read_manifest(source), folder, copy=copy)
    (folder / "videos" / "mine.mp4").touch()
    (source / "wave" / "0.MP4").unlink()  # its row stays
    text = (source / "list.csv").read_text().replace("wave/1.MP4,wave1\n", "")
    (source / "list.csv").write_text(text)
    write_dataset(read_manifest(source), folder, copy=copy)
    assert {path.name for path in (folder / "videos").iterdir()} == {
        *("mine.mp4", "wave-2.mp4", "wave-3.mp4"),
    }


def test_what_a_stopped_import_left_is_known_to_the_next(source: Path, tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(read_manifest(source), tmp_path / "dataset", advance=stop)
    for path in source.glob("wave/*.MP4"):
        path.unlink()
    write_dataset(read_manifest(source), tmp_path / "dataset")
    names = {path.name for path in (tmp_path / "dataset" / "videos").iterdir()}
    assert names == {f"{record.clip_id}{record.path.suffix.lower()}"
                     for record in read_manifest(source).records}  # fmt: skip

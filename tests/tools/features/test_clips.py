from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from taskgrain.data.manifest import Split
from taskgrain.data.opening import read_manifest
from taskgrain.errors import ManifestError
from taskgrain.tools.features.clips import facts_of, list_clips
from tests.making import moving_square, write_video


def test_a_dataset_gives_its_clips_split_by_split_and_the_test_clips_too(
    tiny_dataset: Path,
) -> None:
    (tiny_dataset / "test.json").write_text(json.dumps([{"id": "t1"}]))
    write_video(tiny_dataset / "videos" / "t1.webm", moving_square(9))
    found = list_clips(tiny_dataset)
    assert found.layout == "taskgrain"
    assert [clip.clip_id for clip in found.clips] == [*"01234567", "t1"]
    assert found.clips[-1].path.name == "t1.webm"
    for split, ids in ((Split.TRAIN, "012345"), (Split.VALIDATION, "67"), (Split.TEST, ["t1"])):
        assert [clip.clip_id for clip in list_clips(tiny_dataset, split).clips] == list(ids)


def test_what_a_dataset_leaves_out_is_listed_with_its_reason(tiny_dataset: Path) -> None:
    line = {"clip": "3", "state": "excluded", "problem": "shows a face"}
    (tiny_dataset / "ledger.jsonl").write_text(json.dumps(line))
    excluded = {clip.clip_id: clip.excluded for clip in list_clips(tiny_dataset).clips}
    assert {clip: why for clip, why in excluded.items() if why is not None} == {"3": "shows a face"}


def test_videos_need_no_label_and_are_named_by_their_path(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.webm", "walk/c d.avi"):
        write_video(tmp_path / name, moving_square(4))
    (tmp_path / "notes.txt").write_text("no video")
    found = list_clips(tmp_path)
    assert found.layout is None
    assert [clip.clip_id for clip in found.clips] == ["a", "b", "walk/c d"]
    assert found.clips[2].path == tmp_path / "walk" / "c d.avi"


def test_files_that_differ_in_the_suffix_alone_keep_it(tmp_path: Path) -> None:
    for number, name in enumerate(("a.mp4", "a.webm", "b.mp4", "walk/a.mp4")):
        write_video(tmp_path / name, moving_square(4 + number))
    found = list_clips(tmp_path)
    assert [clip.clip_id for clip in found.clips] == ["a.mp4", "a.webm", "b", "walk/a"]
    (note,) = found.notes
    assert note.endswith("differ from another in the suffix alone, and keep it in their ids "
                         "(a.mp4, a.webm)")  # fmt: skip
    (tmp_path / "a.webm").unlink()
    assert [clip.clip_id for clip in list_clips(tmp_path).clips] == ["a", "b", "walk/a"]
    assert list_clips(tmp_path).notes == ()


@pytest.fixture
def actions(tmp_path: Path) -> Path:
    """Two actions; what is cut from one video is called so, or lies in one folder."""
    names = ("jump/x_clip_1.mp4", "jump/x_clip_2.mp4", "jump/b.mp4", "wave hand/ann/1.mp4",
             "wave hand/ann/2.mp4", "wave hand/c.mp4")  # fmt: skip
    for number, name in enumerate(names):
        write_video(tmp_path / "actions" / name, moving_square(4 + number))
    return tmp_path / "actions"


def test_a_folder_for_each_action_knows_labels_and_recordings(actions: Path) -> None:
    found = list_clips(actions)
    assert found.layout == "folders"
    assert {clip.clip_id: (clip.label, clip.recording) for clip in found.clips} == {
        "jump/b": ("jump", "jump/b"),
        "jump/x_clip_1": ("jump", "x"),
        "jump/x_clip_2": ("jump", "x"),
        "wave hand/ann/1": ("wave hand", "ann"),
        "wave hand/ann/2": ("wave hand", "ann"),
        "wave hand/c": ("wave hand", "wave hand/c"),
    }
    # Validation clips are drawn for `--split`, but the data do not divide themselves.
    assert {clip.split for clip in found.clips} == {None}
    assert set(facts_of(found.clips)) == {"label", "recording"}


def test_a_division_of_the_data_is_known_and_the_labels_of_its_test_clips(actions: Path) -> None:
    for split, name in (("train", "jump"), ("train", "wave hand"), ("test", "jump")):
        (actions / split).mkdir(exist_ok=True)
        shutil.copytree(actions / name, actions / split / name)
    for name in ("jump", "wave hand"):
        shutil.rmtree(actions / name)
    found = {clip.clip_id: clip for clip in list_clips(actions).clips}
    assert (found["test/jump/b"].label, found["test/jump/b"].split) == ("jump", "test")
    assert found["train/jump/b"].recording == found["test/jump/b"].recording  # equal files
    (one,) = {clip.split for clip in list_clips(actions, Split.TRAIN).clips}
    assert one is None  # nothing of what is listed is scored


def test_a_dataset_that_names_its_clips_keeps_the_names_and_may_know_no_recordings(
    tiny_dataset: Path,
) -> None:
    found = list_clips(tiny_dataset)
    records = read_manifest(tiny_dataset).records
    assert [clip.label for clip in found.clips] == [record.category for record in records]
    assert [clip.split for clip in found.clips] == [record.split.value for record in records]


@pytest.mark.parametrize("split", [None, Split.TRAIN])
def test_a_folder_without_clips_is_refused(tmp_path: Path, split: Split | None) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(ManifestError, match=r"holds no clip|so it has no split"):
        list_clips(tmp_path, split)
    with pytest.raises(ManifestError, match="no such folder"):
        list_clips(tmp_path / "nowhere", split)


def test_annotations_that_cannot_be_read_are_not_passed_over(tiny_dataset: Path) -> None:
    (tiny_dataset / "train.json").write_text('[{"id": "0"}]')
    with pytest.raises(ManifestError, match=r"train\.json"):
        list_clips(tiny_dataset)


def test_a_dataset_without_clips_of_a_split_is_refused(tiny_dataset: Path) -> None:
    with pytest.raises(ManifestError, match="holds no test clip"):
        list_clips(tiny_dataset, Split.TEST)

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.data.manifest import Split
from taskgrain.errors import ManifestError
from taskgrain.tools.features.clips import list_clips
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


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.webm"):
        write_video(tmp_path / name, moving_square(4))
    with pytest.raises(ManifestError, match=r"clip 'a' are a\.mp4 and a\.webm; rename"):
        list_clips(tmp_path)


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

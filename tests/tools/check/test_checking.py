from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from taskgrain.data.opening import read_manifest
from taskgrain.errors import ManifestError, RunError
from taskgrain.jobs.executor import Cell, Worker
from taskgrain.tools.check.checking import check_dataset, run_inspection
from taskgrain.tools.check.files import FactsFolder
from taskgrain.tools.check.report import CheckReport
from tests.making import PRETEND, PULL, PUSH, moving_square, row, write_annotations, write_video

pytestmark = pytest.mark.usefixtures("forked_workers")

LONG = "a very very very very very very very very very very very very red cup"
BY_HAND = {"clip": "hidden", "state": "excluded", "problem": "a face is seen"}


def check(root: Path, out: Path | None = None) -> CheckReport:
    return check_dataset(root, out=out, workers=1, quiet=True)


def named(report: CheckReport) -> dict[str, list[str]]:
    found = [*report.faults.items(), *report.notes.items()]
    return {kind: [entry.name for entry in each.entries()] for kind, each in found}


def write_clips(root: Path, *ids: str) -> None:
    for number, clip_id in enumerate(ids):
        write_video(root / "videos" / f"{clip_id}.webm", moving_square(20 + number))


@pytest.fixture(scope="module")
def faulty(forked_workers: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with every fault, checked once: to be copied, not changed."""
    root = tmp_path_factory.mktemp("faulty") / "my clips"
    train: list[object] = [
        *(row(clip_id) for clip_id in ("0", "1", "2", "cut", "bad", "gone", "hidden", "0")),
        {"id": "halved", "template": PUSH},
        row("wordy", PULL, LONG),
    ]
    validation: list[object] = [row("3"), row("1"), row("copied"), row("untrained", PRETEND)]
    write_annotations(root, train, validation)
    (root / "test.json").write_text('[{"id": "t1"}, {"id": "t2"}]')
    (root / "ledger.jsonl").write_text(json.dumps(BY_HAND) + "\n")
    write_clips(root, "0", "1", "2", "3", "wordy", "untrained", "t1", "hidden")
    videos = root / "videos"
    write_video(videos / "cut.webm", moving_square(40, size=64))
    write_video(videos / "stray.mp4", moving_square(20))
    shutil.copy(videos / "2.webm", videos / "copied.webm")
    (videos / "bad.webm").write_bytes(b"no video")
    whole = (videos / "cut.webm").read_bytes()
    (videos / "cut.webm").write_bytes(whole[: len(whole) * 4 // 5])
    return root


@pytest.fixture(scope="module")
def report(faulty: Path) -> CheckReport:
    return check(faulty)


def test_every_kind_of_fault_names_its_clips(report: CheckReport, faulty: Path) -> None:
    assert not report.is_sound
    assert {kind: names for kind, names in named(report).items() if kind in report.faults} == {
        "malformed": [f"{faulty / 'train.json'}:10"],
        "duplicate-id": [f"{faulty / 'train.json'}:9"],
        "two-splits": [f"{faulty / 'validation.json'}:3"],
        "missing": ["gone"],
        "undecodable": ["bad"],
        "truncated": ["cut"],
        "same-content": ["copied"],
    }
    (shared,) = report.faults["same-content"].entries()
    assert shared.text == '(validation) holds the same as "2" (train)'


def test_what_is_odd_is_noted(report: CheckReport) -> None:
    notes = {kind: names for kind, names in named(report).items() if kind in report.notes}
    assert notes == {
        "excluded": ["hidden"],
        "untrained-class": ["Pretending to put something next to something"],
        "long-caption": ["wordy"],
        "odd-size": ["cut"],
        "missing-test": ["t2"],
        "unnamed-video": ["videos/stray.mp4"],
    }


def test_clips_are_counted_by_split_and_level(report: CheckReport) -> None:
    assert report.clips == {"train": 8, "validation": 3, "test": 2}
    category = report.levels["category"]
    assert (category.names, category.train, category.validation) == (3, 8, 3)
    assert category.largest == ("Pushing something from left to right", 7)
    assert category.imbalance == 7.0
    assert 1 < category.effective < 2
    assert report.levels["action-group"].train == 8


def test_videos_are_summed_up(report: CheckReport) -> None:
    videos = report.videos
    assert videos is not None
    assert (videos.width, videos.height, videos.frame_rate) == (32, 32, 12.0)
    assert videos.clips == 9  # of twelve: one is no video, one hidden, one not named
    assert 0 < videos.shortest_seconds < videos.median_seconds < videos.longest_seconds


def test_the_ledger_excludes_what_failed_and_keeps_what_was_written_by_hand(
    report: CheckReport, faulty: Path, tmp_path: Path
) -> None:
    assert report.ledger == str(faulty / "ledger.jsonl")
    lines = [json.loads(line) for line in (faulty / "ledger.jsonl").read_text().splitlines()]
    assert lines[0] == BY_HAND
    states = {line["clip"]: (line["state"], line.get("bytes")) for line in lines[1:]}
    size = (faulty / "videos" / "cut.webm").stat().st_size
    assert states == {
        "cut": ("truncated", size),
        "bad": ("failed", 8),
        "gone": ("failed", None),
    }
    root = shutil.copytree(faulty, tmp_path / "copy")
    write_annotations(root, [row("cut"), row("bad"), row("hidden")], [row("3")])
    excluded = {record.clip_id: record.excluded for record in read_manifest(root).records}
    assert excluded["cut"] is None
    assert excluded["hidden"] == "a face is seen"
    assert "bad.webm" in str(excluded["bad"])
    (root / "videos" / "bad.webm").write_bytes(b"another file")
    excluded = {record.clip_id: record.excluded for record in read_manifest(root).records}
    assert excluded["bad"] is None


def test_json_holds_every_number(report: CheckReport) -> None:
    said = json.loads(json.dumps(report.to_json()))
    assert said["sound"] is False
    assert said["faults"]["missing"]["count"] == 1
    assert said["faults"]["missing"]["entries"][0]["name"] == "gone"
    assert said["levels"]["category"]["imbalance"] == 7.0
    assert said["videos"]["width"] == 32
    assert (said["inspected"], said["known"]) == (10, 0)


@pytest.mark.slow
def test_a_file_that_did_not_change_is_not_decoded_again(
    report: CheckReport, faulty: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(faulty, tmp_path / "copy"))  # with its times
    again = check(root)
    assert (again.inspected, again.known) == (0, report.inspected)
    assert named(again).keys() == named(report).keys()
    shutil.copy2(root / "videos" / "1.webm", root / "videos" / "bad.webm")
    mended = check(root)
    assert (mended.inspected, mended.known) == (1, report.inspected - 1)
    assert "undecodable" not in mended.faults


@pytest.mark.slow
def test_a_sound_dataset_has_no_ledger(tiny_dataset: Path) -> None:
    broken = json.dumps({"clip": "1", "state": "failed", "problem": "once", "bytes": 1})
    (tiny_dataset / "ledger.jsonl").write_text(broken + "\n")
    report = check(tiny_dataset)
    assert report.is_sound
    assert report.ledger is None
    assert not (tiny_dataset / "ledger.jsonl").exists()
    assert report.inspected == 8


def test_a_ledger_that_cannot_be_read_is_a_fault_and_stays_as_it_is(
    faulty: Path, report: CheckReport, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(faulty, tmp_path / "copy"))
    written = json.dumps(BY_HAND) + '\n{"clip": "1", "state": "bad"}\n'
    (root / "ledger.jsonl").write_text(written)
    assert named(check(root))["ledger"] == [f"{root / 'ledger.jsonl'}:2"]
    assert (root / "ledger.jsonl").read_text() == written


@pytest.mark.slow
def test_a_dataset_that_cannot_be_written_names_out(
    faulty: Path, report: CheckReport, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(faulty, tmp_path / "copy"))
    shutil.rmtree(root / ".taskgrain")
    (root / ".taskgrain").touch()  # root may write anywhere, but not into a file
    before = (root / "ledger.jsonl").read_bytes()
    with pytest.raises(RunError, match="choose with --out"):
        check(root)
    elsewhere = check(root, out=tmp_path / "out")
    assert elsewhere.ledger == str(tmp_path / "out" / "ledger.jsonl")
    assert json.loads((tmp_path / "out" / "ledger.jsonl").read_text().splitlines()[0]) == BY_HAND
    assert (root / "ledger.jsonl").read_bytes() == before


@pytest.mark.slow
def test_a_folder_of_class_folders_is_checked_as_it_stands(tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / "clips" / ("wave", "clap")[number % 2]
        write_video(folder / f"{number}.mp4", moving_square(20 + number))
    report = check(tmp_path / "clips")
    assert report.is_sound
    assert report.layout == "folders"
    assert report.clips["train"] + report.clips["validation"] == 6
    assert report.levels["category"].names == 2
    assert not report.notes


def test_no_dataset_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such folder"):
        check(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def die_reading(worker: Worker, mark: Path) -> None:
    mark.mkdir(parents=True)
    (mark / "4711").write_text("videos/7.webm")
    os._exit(9)


@pytest.mark.slow
def test_a_file_that_a_worker_dies_of_is_named_with_a_way_around_it(tmp_path: Path) -> None:
    facts = FactsFolder(tmp_path, 16)
    work = partial(die_reading, mark=facts.under_way)
    cell = Cell("prepare checking 00000", work, 1.0, tmp_path / "done", tmp_path / "output")
    with pytest.raises(RunError, match=r"videos/7\.webm: if it happens again, leave that clip out"):
        run_inspection(facts, [cell], workers=1, quiet=True)


CHECK = """
import sys
from pathlib import Path
from taskgrain.tools.check.checking import check_dataset

if __name__ == "__main__":
    check_dataset(Path(sys.argv[1]), workers=2, quiet=True)
"""


@pytest.mark.slow
def test_a_check_that_is_killed_goes_on_to_the_same_report(tmp_path: Path) -> None:
    root = tmp_path / "data"
    ids = [str(n) for n in range(200)]
    write_annotations(root, [row(n) for n in ids[:150]], [row(n) for n in ids[150:]])
    first = write_video(root / "videos" / "0.webm", moving_square(40, size=64))
    for n in ids[1:]:
        os.link(first, root / "videos" / f"{n}.webm")
    (root / "videos" / "7.webm").unlink()
    (root / "videos" / "7.webm").write_bytes(first.read_bytes()[:900])
    script = tmp_path / "check.py"
    script.write_text(CHECK)
    whole = check(root, out=tmp_path / "whole")
    facts = root / ".taskgrain" / "check"
    killed = 0
    for buckets in (1, 6, 12):
        process = subprocess.Popen([sys.executable, script, root], start_new_session=True)
        while process.poll() is None and len(list(facts.glob("facts*/0*.jsonl"))) < buckets:
            time.sleep(0.002)
        killed += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert killed
    report = check(root)
    assert report.known > 0
    assert report.inspected + report.known == whole.inspected == 200
    assert {**report.to_json(), **CHANGING} == {**whole.to_json(), **CHANGING}
    for path in (tmp_path / "whole").rglob("*.jsonl"):
        relative = path.relative_to(tmp_path / "whole")
        assert (root / relative).read_bytes() == path.read_bytes()
    assert not list(facts.rglob(".*.tmp"))


CHANGING = dict.fromkeys(("seconds", "inspected", "known", "ledger"))


@pytest.mark.slow
def test_files_of_the_users_own_in_out_stay_as_they_are(tiny_dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    own = ("marks/m.txt", "under-way/u.txt", "timings.jsonl", "notes/.draft.tmp", "facts-1-4/f")
    for name in own:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)
    assert check(tiny_dataset, out).ledger is None
    assert check(tiny_dataset, out).known == 8
    assert [(out / name).read_text() for name in own] == list(own)


@pytest.mark.slow
def test_a_ledger_in_out_that_this_check_did_not_write_is_refused(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    out.mkdir()
    (out / "ledger.jsonl").write_text("my own")
    with pytest.raises(RunError, match=r"ledger\.jsonl is not as a check .* move it away"):
        check(tiny_dataset, out)
    assert [path.name for path in out.iterdir()] == ["ledger.jsonl"]
    (out / "ledger.jsonl").unlink()
    video = tiny_dataset / "videos" / "1.webm"
    whole = video.read_bytes()
    video.write_bytes(b"no video")
    assert check(tiny_dataset, out).ledger == str(out / "ledger.jsonl")
    written = (out / "ledger.jsonl").read_text()
    (out / "ledger.jsonl").write_text(written + "by hand")
    with pytest.raises(RunError, match="choose another folder"):
        check(tiny_dataset, out)
    (out / "ledger.jsonl").write_text(written)
    video.write_bytes(whole)
    assert check(tiny_dataset, out).is_sound
    assert not (out / "ledger.jsonl").exists()


@pytest.mark.slow
def test_two_datasets_do_not_share_one_out(tiny_dataset: Path, tmp_path: Path) -> None:
    check(tiny_dataset, tmp_path / "out")
    other = shutil.copytree(tiny_dataset, tmp_path / "other")
    with pytest.raises(RunError, match=r"holds the check of .*my clips; choose another"):
        check(other, tmp_path / "out")
    check(other)
    with pytest.raises(RunError, match="holds a check of its own"):
        check(tiny_dataset, other)
    assert check(other, other).known == 8  # the dataset itself is the usual place


@pytest.mark.slow
def test_a_file_name_that_is_no_text_is_escaped_wherever_it_is_said(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name in ("a", "b"):
        write_video(root / name / "1.mp4", moving_square(20))
    try:
        (root / "b" / os.fsdecode(b"\xff.mp4")).write_bytes(b"no video")
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    report = check(root)
    (entry,) = report.faults["undecodable"].entries()
    assert r"\udcff.mp4" in str(entry.text)
    assert json.dumps(report.to_json(), ensure_ascii=False).encode()
    again = check(root)
    assert (again.inspected, again.known) == (0, 3)
    assert "ledger" not in again.faults
    assert sum(record.excluded is not None for record in read_manifest(root).records) == 1


@pytest.mark.slow
def test_test_clips_are_looked_for_where_the_layout_has_them(tmp_path: Path) -> None:
    for name in ("train/a/1", "train/b/2", "val/a/3", "test/4"):
        write_video(tmp_path / f"{name}.mp4", moving_square(20 + int(name[-1])))
    report = check(tmp_path)
    assert report.clips["test"] == 1
    assert report.inspected == 4
    assert not report.notes.keys() & {"missing-test", "unnamed-video"}


@pytest.mark.slow
def test_a_video_replaced_by_one_of_equal_size_is_tried_again(tiny_dataset: Path) -> None:
    video = tiny_dataset / "videos" / "1.webm"
    whole = video.read_bytes()
    video.write_bytes(bytes(len(whole)))
    check(tiny_dataset)
    assert read_manifest(tiny_dataset).records[1].excluded is not None
    time_before = video.stat().st_mtime_ns
    video.write_bytes(whole)
    os.utime(video, ns=(time_before + 10**9, time_before + 10**9))
    assert read_manifest(tiny_dataset).records[1].excluded is None


def test_links_that_lead_nowhere_or_round_in_a_circle_do_not_stop_a_check(
    tiny_dataset: Path,
) -> None:
    (tiny_dataset / "loop").symlink_to("loop")
    (tiny_dataset / "videos" / "back").symlink_to("..")
    (tiny_dataset / "nowhere").symlink_to("gone")
    assert check(tiny_dataset).is_sound


@pytest.mark.slow
def test_a_line_by_hand_of_an_unknown_clip_is_noted(tiny_dataset: Path) -> None:
    (tiny_dataset / "ledger.jsonl").write_text(json.dumps({**BY_HAND, "clip": "hiden"}) + "\n")
    report = check(tiny_dataset)
    assert report.is_sound
    assert named(report)["unknown-clip"] == ["hiden"]


def test_what_reading_decided_and_left_out_is_in_the_report(tmp_path: Path) -> None:
    for name in ("wave", "clap"):
        for number in range(2):
            write_video(tmp_path / name / f"{number}.avi", moving_square(4 + number))
    (tmp_path / "wave" / "@eaDir" / "0.avi").mkdir(parents=True)
    report = check_dataset(tmp_path, workers=1, quiet=True)
    assert any("1 folders that disks and systems keep" in note for note in report.reading)
    assert report.to_json()["reading"] == list(report.reading)

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from taskgrain.cli.main import main
from taskgrain.cli.windows import clock
from taskgrain.jobs import progress
from taskgrain.teaching.folds import NONE
from tests.making import write_video
from tests.teaching.filming import CLASSES, film, model_folder
from tests.tools.features.making import checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("taught") / "model")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    write_video(folder / "busy.mp4", film((NONE, 24), (1, 36), (NONE, 24)))
    write_video(folder / "still.mp4", film((NONE, 36)))
    return folder


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_events_are_listed_with_their_times(
    model: Path, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["describe", str(model), str(videos), "--windows", "--quiet"])
    printed = capsys.readouterr()
    busy, event, still, nothing = printed.out.splitlines()
    assert busy == f"{videos / 'busy.mp4'}  (0:07.0 of video, 25 windows of 1.00 s)"
    start, to, end, probability, *label = event.split()
    assert " ".join(label) == CLASSES[1]
    assert (start[:2], to, end[:2], probability[-1]) == ("0:", "to", "0:", "%")
    assert abs(float(start[2:]) - 2) <= 0.5
    assert abs(float(end[2:]) - 5) <= 0.5
    assert still == f"{videos / 'still.mp4'}  (0:03.0 of video, 9 windows of 1.00 s)"
    assert nothing == "  no event"
    assert printed.err == ""


def test_json_and_csv_hold_the_same_events(
    model: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "out" / "events.csv"
    options = ["--windows", "--json", "--csv", str(table), "--window", "1.5", "--step", "0.5"]
    main(["describe", str(model), str(videos), *options])
    busy, still = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert still.pop("events") == []
    assert still == {
        "video": str(videos / "still.mp4"),
        "seconds": 3.0,
        "windows": 4,
        "window_seconds": 1.5,
        "step_seconds": 0.5,
        "abstains": True,
        "problem": None,
    }
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(busy["events"]) == 1
    (row,), (event,) = rows, busy["events"]
    assert list(row) == ["video", *event]
    assert (row["video"], row["label"]) == (busy["video"], event["label"])
    for name in ("start", "end", "probability", "highest"):
        assert float(row[name]) == pytest.approx(event[name], abs=5e-4)


def test_a_video_that_cannot_be_read_is_named_and_the_others_are_watched(
    model: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (videos / "broken.mp4").write_bytes(b"no video")
    table = tmp_path / "events.csv"
    given = ["describe", str(model), str(videos), "--windows", "--json", "--csv", str(table)]
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"taskgrain: {videos / 'broken.mp4'}: not a video")
    assert len(printed.out.splitlines()) == 2
    assert "busy.mp4" in table.read_text(encoding="utf-8")


def test_false_alarms_are_counted_where_no_action_is_to_be_seen(
    model: Path, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["describe", str(model), str(videos), "--windows", "--expect-none"]
    main(given)
    last = capsys.readouterr().out.splitlines()[-1]
    # One in ten seconds; .0253 and 5.57 are the bounds of a count of one.
    assert last == ("false alarms: 1 in 0.00278 hours, 360 an hour (95 % interval 9.11 to 2,006)")
    main([*given, "--json"])
    total = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert total["videos"] == 2
    assert total["false_alarms"]["events"] == 1
    assert total["false_alarms"]["per_hour"] == pytest.approx(360)


def test_a_model_that_never_abstains_says_so_and_counts_no_false_alarms(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_folder(tmp_path / "model", why_not="for the test")
    given = ["describe", str(model), str(videos / "busy.mp4"), "--windows"]
    main(given)
    assert "it cannot tell unknown from known" in capsys.readouterr().out.splitlines()[-1]
    text = refused([*given, "--expect-none"], capsys)
    assert "would be a false alarm" in text


def test_a_study_s_checkpoint_answers_with_its_classes(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = checkpoint(tmp_path / "last")
    video = str(videos / "still.mp4")
    main(["describe", str(own), video, "--windows", "--window", "1", "--json"])
    watched = json.loads(capsys.readouterr().out)
    assert not watched["abstains"]
    assert watched["events"][0]["label"].lower() in ("pushing something", "pulling something")
    assert "--window" in refused(["describe", str(own), video, "--windows"], capsys)


@pytest.mark.parametrize(
    "option",
    [
        ["--window", "2"],
        ["--step", "1"],
        ["--csv", "events.csv"],
        ["--expect-none"],
        ["--quiet"],
    ],
)
def test_options_of_long_videos_need_windows(
    model: Path, videos: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = refused(["describe", str(model), str(videos), *option], capsys)
    assert option[0] in text
    assert "give --windows too" in text


@pytest.mark.parametrize("option", [["--saliency", "a.webp"], ["--beam-width", "3"]])
def test_options_of_captions_are_refused_for_windows(
    model: Path, videos: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = refused(["describe", str(model), str(videos), "--windows", *option], capsys)
    assert option[0] in text
    assert "--windows names classes alone" in text


def test_progress_counts_windows(
    model: Path,
    videos: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    main(["describe", str(model), str(videos / "still.mp4"), "--windows"])
    assert capsys.readouterr().err.splitlines() == [
        "4 of 9 windows",
        "8 of 9 windows",
        "9 of 9 windows",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0:00.0"), (59.96, "1:00.0"), (125.25, "2:05.2"), (3661, "61:01.0")],
)
def test_times_are_shown_in_minutes_and_seconds(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown

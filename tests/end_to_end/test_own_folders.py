"""A folder for each action, from `check` to the report; and the roads beside that one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from taskgrain.cli.main import main
from taskgrain.results import read_rows
from tests.end_to_end.conftest import ONE_WORKER
from tests.making import moving_square, write_video

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_trainings")]

CLASSES = ("clapping", "nodding", "waving left", "waving right")
SMALL = (
    *ONE_WORKER,
    *("--set", "data.train=40", "--set", "data.validation=24", "--set", "examples=2", "--quiet"),
    *("--set", "transfer.shots=[1, 'all']", "--set", "transfer.draws=2"),
    *("--set", "primary.shots=1", "--set", "train.epochs=1"),
)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "my clips", seed=0)


def write_folders(root: Path, *, seed: int) -> Path:
    """Write ten clips of each of four actions, no two alike."""
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        for n in range(10):
            frames = moving_square(int(rng.integers(16, 26)), size=48)
            frames = frames[:, :, ::-1] if name == "waving left" else frames
            noise = rng.integers(0, 40, (1, 48, 48, 3), dtype=np.uint8)
            write_video(root / name / f"clip {n}.webm", np.maximum(frames, noise))
    return root


def command(*arguments: str) -> int:
    try:
        main(list(arguments))
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def target_study(folder: Path) -> Path:
    path = folder / "mine.toml"
    path.write_text(
        'extends = "smoke"\nname = "mine"\nsources = ["action-groups", "categories"]\n'
        '[[targets]]\nname = "mine"\nroot = "my clips"\n[primary]\ntarget = "mine"\n'
    )
    return path


def test_folders_of_clips_go_from_check_to_a_report_and_may_be_mended_until_then(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("check", str(folders), "--json", "--quiet") == 0
    assert json.loads(capsys.readouterr().out)["faults"] == {}
    out, three = tmp_path / "run", ("--set", "transfer.shots=[1, 3]")
    run = ("study", str(target_study(tmp_path)), *SMALL, *three, "--out", str(out))
    for n in range(1, 10):
        (folders / "nodding" / f"clip {n}.webm").rename(tmp_path / f"{n}.webm")
    assert command(*run) == 2
    assert "class 'nodding' has 1 usable support clips, 3 wanted" in capsys.readouterr().err
    for n in range(1, 10):
        (tmp_path / f"{n}.webm").rename(folders / "nodding" / f"clip {n}.webm")
    assert command(*run) == 0
    assert (out / "report.html").is_file()
    rows = [row for row in read_rows(out / "results.jsonl") if row.target == "mine"]
    assert {(row.n, row.failed) for row in rows if row.metric == "top-1"} == {(20, 0)}
    shutil.rmtree(folders / "nodding")
    assert command(*run) == 2
    assert "changed since this run began" in capsys.readouterr().err


def test_what_check_finds_broken_counts_as_failed_and_is_not_decoded(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = folders / "nodding" / "clip 3.webm"
    broken.write_bytes(b"no video")
    assert command("check", str(folders), "--quiet") == 1
    assert "clip 3.webm" in capsys.readouterr().out
    (line,) = (folders / "ledger.jsonl").read_text().splitlines()
    assert json.loads(line)["state"] == "failed"
    by_hand = {"clip": "waving-left-clip-1", "state": "excluded", "problem": "a face"}
    ids = [row["id"] for row in _imported(folders, tmp_path)]
    by_hand["clip"] = next(clip for clip in ids if "left" in clip)
    with (folders / "ledger.jsonl").open("a") as ledger:
        ledger.write(json.dumps(by_hand) + "\n")
    study, out = target_study(tmp_path), tmp_path / "run"
    assert command("study", str(study), *SMALL, "--out", str(out)) == 0
    listed = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]
    assert {entry["state"] for entry in listed} == {"failed"}
    assert any("a face" in entry["problem"] for entry in listed)
    assert len(listed) == 2


def _imported(folders: Path, tmp_path: Path) -> list[dict[str, str]]:
    dataset = tmp_path / "dataset"
    assert command("import", str(folders), str(dataset), "--quiet") == 0
    rows: list[dict[str, str]] = []
    for split in ("train", "validation"):
        rows += json.loads((dataset / f"{split}.json").read_text())
    assert all(list((dataset / "videos").glob(f"{row['id']}.*")) for row in rows)
    return rows


def source_study(folder: Path, *, store: str = "", target_store: str = "") -> Path:
    """Write a study that learns from `my clips`, and its target of other clips."""
    if not (folder / "my target").exists():
        write_folders(folder / "my target", seed=1)
    path = folder / "own.toml"
    path.write_text(
        'extends = "smoke"\nname = "own"\n'
        'sources = ["categories", {name = "verbs", classify = "verb"}]\n'
        f'[data]\nroot = "my clips"\n{store}'
        "[data.levels.verb]\n"
        'wave = ["waving left", "waving right"]\nother = ["clapping", "nodding"]\n'
        '[data.mirror]\n"waving left" = "waving right"\n"waving right" = "waving left"\n'
        "[augment]\nmirror = 0.5\ncrop_scale = [0.6, 1.0]\nbrightness = 0.2\nrate_jitter = 0.2\n"
        f'[[targets]]\nname = "mine"\nroot = "my target"\n{target_store}'
        '[primary]\nsource = "categories"\nversus = "verbs"\ntarget = "mine"\n'
    )
    return path


def test_a_packed_store_gives_the_numbers_of_the_videos(folders: Path, tmp_path: Path) -> None:
    plain = source_study(tmp_path)
    assert command("study", str(plain), *SMALL, "--out", str(tmp_path / "a")) == 0
    size = ("--height", "40", "--width", "40", "--encoding", "raw")
    for root, store in ((folders, "store"), (tmp_path / "my target", "target store")):
        assert command("pack", str(root), str(tmp_path / store), *size, "--quiet") == 0
    packed = source_study(
        tmp_path, store='store = "store"\n', target_store='store = "target store"\n'
    )
    assert command("study", str(packed), *SMALL, "--out", str(tmp_path / "b")) == 0
    one, other = (read_rows(tmp_path / run / "results.jsonl") for run in "ab")
    assert one == other
    assert {row.source for row in one if row.target == "source-validation"} == {
        "categories",
        "verbs",
    }
    assert not (tmp_path / "b" / "store").exists()


def test_a_packed_store_of_other_frames_or_clips_is_refused(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("pack", str(folders), str(tmp_path / "store"), "--height", "64", "--quiet") == 0
    study = str(source_study(tmp_path, store='store = "store"\n'))
    run = ("study", study, *SMALL, "--out", str(tmp_path / "run"))
    assert command(*run) == 2
    assert "holds frames of 64 x 128 pixels" in capsys.readouterr().err
    size = ("--set", "video.store_height=64", "--set", "video.store_width=128")
    shutil.rmtree(folders / "nodding")
    levels = ("--set", "data.levels={}")
    sources = ("--set", "sources=['categories', 'captions-full']")
    versus = ("--set", "primary.versus=captions-full")
    assert command(*run, *size, *levels, *sources, *versus) == 2
    assert "was packed from other clips" in capsys.readouterr().err


def test_what_check_finds_does_not_keep_a_stopped_study_from_going_on(
    folders: Path, tmp_path: Path
) -> None:
    (folders / "nodding" / "clip 3.webm").write_bytes(b"no video")
    out = tmp_path / "run"
    run = ("study", str(target_study(tmp_path)), *SMALL, "--out", str(out))
    assert command(*run) == 0
    (out / "cells" / "results.done").unlink()  # as if it had been stopped before
    assert command("check", str(folders), "--quiet") == 1
    assert command(*run) == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("data.mirror={}", "no training clip of"),
        ("data.mirror={'wavin left' = 'wavin left'}", "did you mean 'waving left'"),
        ("train.min_word_count=500", "lower train.min_word_count"),
        ("transfer.probes=['recurrent']", "read the steps of a clip"),
    ],
)
def test_what_could_only_fail_later_is_refused_at_once(
    settings: str, said: str, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ("--set", settings, "--set", "sources=['categories', 'captions-full']")
    versus = ("--set", "primary.versus=captions-full")
    probe = ("--set", "primary.probe=recurrent") if "recurrent" in settings else ()
    study = str(source_study(tmp_path))
    out = tmp_path / "run"
    assert command("study", study, *SMALL, *changes, *versus, *probe, "--out", str(out)) == 2
    assert said in capsys.readouterr().err
    assert not (out / "store").exists()

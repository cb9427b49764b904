from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from taskgrain.cli.main import main
from taskgrain.report.answer import summarise
from taskgrain.report.frame import results_frame
from taskgrain.report.words import percent, points
from taskgrain.results import read_rows
from taskgrain.transfer.predictions import read_evaluation
from tests.conftest import COMPILER, forking
from tests.end_to_end.conftest import SMALL, TWO_WORKERS, digests
from tests.making import find

pytestmark = pytest.mark.slow


def test_a_run_ends_with_results_report_and_checkpoints(small_run: Path) -> None:
    rows = read_rows(small_run / "results.jsonl")
    targets = {row.target for row in rows}
    assert targets == {"source-validation", "kitchenware", "kitchenware/motion"}
    controls = {row.control for row in rows}
    assert {"chance", "majority", "random-encoder", "pixels", "motion-energy"} < controls
    assert "permuted-labels" in controls
    chance = find(rows, target="kitchenware", control="chance", metric="top-1")
    assert chance.value == pytest.approx(1 / 13)
    assert (small_run / "report.html").stat().st_size > 50_000
    for source in ("action-groups", "joint-full"):
        for kind in ("best", "last"):
            folder = small_run / "checkpoints" / f"{source}-seed-0" / kind
            assert (folder / "model.safetensors").is_file()
    assert (small_run / "ledger.jsonl").read_text() == ""


def test_the_numbers_can_be_recomputed_from_the_answers(small_run: Path) -> None:
    rows = read_rows(small_run / "results.jsonl")
    path = small_run / "predictions" / "joint-full-seed-0.kitchenware.npz"
    evaluation = read_evaluation(path)
    assert evaluation.answers
    for answers in evaluation.answers:
        found = find(
            rows,
            source="joint-full",
            target="kitchenware",
            probe=answers.probe,
            shots=answers.shots,
            metric="top-1",
            versus=None,
            control=None,
        )
        right = [
            [said == true for said, true in zip(draw, evaluation.labels, strict=True)]
            for draw in answers.predicted
        ]
        assert found.value == pytest.approx(np.mean(right))
        assert found.n == len(evaluation.labels) == 39


def test_the_lines_of_the_docs_print_the_reports_headline(
    small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[2] / "docs" / "data-format.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = next(block for block in blocks if "results_frame" in block)
    exec(lines.replace("runs/quick", str(small_run)))
    value_of = {
        (source, versus): float(value)
        for source, versus, value in map(str.split, capsys.readouterr().out.splitlines())
    }
    ours, theirs = value_of["joint-full", "None"], value_of["action-groups", "None"]
    difference = points(value_of["joint-full", "action-groups"])
    headline = f": {percent(ours)}\N{NO-BREAK SPACE}% against {percent(theirs)}\N{NO-BREAK SPACE}%"
    assert f"{headline}, a difference of {difference} percentage points" in summarise(small_run)


def test_the_best_checkpoint_that_the_command_names_describes_a_clip(
    small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["report", str(small_run), "--best", "--captions"])
    folder = capsys.readouterr().out.removesuffix("\n")
    assert folder == str(small_run / "checkpoints" / "joint-full-seed-0" / "last")
    clip = next((small_run / "data" / "source" / "videos").iterdir())
    main(["describe", folder, str(clip), "--json"])
    assert json.loads(capsys.readouterr().out)["caption"] is not None


STOPS = (  # as soon as another file of a kind is there
    ("*/*/*/*.webm", signal.SIGKILL),
    ("checkpoints/*/training.json", signal.SIGINT),
    ("features/*/*.npz", signal.SIGKILL),
    ("predictions/*.npz", signal.SIGTERM),
)


def test_two_workers_stopped_and_killed_go_on_elsewhere_to_the_bits_of_one_worker(
    small_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    for waits_for, number in STOPS:
        command = [sys.executable, "-m", "taskgrain", *SMALL, *TWO_WORKERS, "--out", str(out)]
        before = len(list(out.glob(waits_for)))
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        while process.poll() is None and len(list(out.glob(waits_for))) == before:
            time.sleep(0.02)
        process.send_signal(number)
        process.communicate(timeout=120)
        assert process.returncode == (-number if number == signal.SIGKILL else 130)
        assert not (out / "results.jsonl").exists()
        time.sleep(0.5 * (number == signal.SIGKILL))  # its workers end too
        moved = tmp_path / f"moved after {waits_for.partition('/')[0]}" / "run"
        shutil.copytree(out, moved)
        shutil.rmtree(out)
        out = moved
    with forking(COMPILER):  # the workers before were spawned
        main([*SMALL, *TWO_WORKERS, "--out", str(out)])
    two, one = digests(out), digests(small_run)
    assert len(two) > 200
    assert two == one


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a cap of x86 processors")
def test_another_kind_of_processor_goes_on_only_when_told_to_and_the_rows_say_so(
    small_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "half"
    shutil.copytree(small_run, out)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    main([*SMALL, "--out", str(out)])  # a finished run only answers
    main(["report", str(out)])
    for gone in ("results.jsonl", "provenance.json"):
        (out / gone).unlink()
    before = digests(out)
    with pytest.raises(SystemExit) as stopped:
        main([*SMALL, "--out", str(out)])
    assert stopped.value.code == 2
    assert re.search(r"oneDNN .* before, oneDNN Intel SSE4\.1 now", capsys.readouterr().err)
    assert digests(out) == before
    main([*SMALL, "--out", str(out), "--mix-processors"])
    assert (out / "results.jsonl").read_bytes() == (small_run / "results.jsonl").read_bytes()
    (said,) = {row["processors"] for row in results_frame(out, kind=None, plain=True)}
    assert str(said).count("oneDNN") == 2
    assert "computed on 2 kinds of processor" in (out / "report.html").read_text("utf-8")
    (said,) = {row["processors"] for row in results_frame(small_run, kind=None, plain=True)}
    assert str(said).count("oneDNN") == 1


def test_a_second_process_on_the_same_run_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "taskgrain", *SMALL, "--out", str(tmp_path / "run")]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (tmp_path / "run" / "study.toml").exists():
        time.sleep(0.02)
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=60) == 130
    assert second.returncode == 2
    assert f"in use by process {first.pid}" in second.stderr
    assert second.stderr.count("\n") == 1


def test_another_setting_is_refused_and_nothing_is_touched(
    small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(small_run)
    with pytest.raises(SystemExit) as stopped:
        main([*SMALL, "--set", "train.epochs=5", "--out", str(small_run)])
    assert stopped.value.code == 2
    assert "train.epochs: 2 before, 5 now" in capsys.readouterr().err
    assert digests(small_run) == before


def test_a_finished_run_answers_at_once(
    small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (small_run / "timings.jsonl").read_text()
    main([*SMALL, "--out", str(small_run), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["report"] == str(small_run / "report.html")
    assert "joint-full" in said["answer"]
    assert (small_run / "timings.jsonl").read_text() == before


def test_a_checkpoint_of_the_run_describes_real_clips(
    small_run: Path, media: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_run / "checkpoints" / "joint-full-seed-0" / "last"
    rows = [json.loads(line) for line in (media / "expected.jsonl").read_text().splitlines()]
    clips = [str(media / row["file"]) for row in rows if row.get("decoded")]
    assert len(clips) > 10
    main(["describe", str(folder), *clips, "--json"])
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["clip"] for each in said] == clips
    assert all(each["groups"] and each["categories"] for each in said)
    assert all(isinstance(each["caption"], str) for each in said)


def test_describing_goes_on_past_a_broken_clip(
    small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.mp4").write_bytes(os.urandom(300))
    whole = next((small_run / "data" / "source" / "videos").iterdir())
    folder = small_run / "checkpoints" / "action-groups-seed-0" / "last"
    with pytest.raises(SystemExit) as stopped:
        main(["describe", str(folder), str(tmp_path / "broken.mp4"), str(whole), "--json"])
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert "broken.mp4: not a video" in err
    assert json.loads(out)["caption"] is None

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from taskgrain.tools.check.command import check
from tests.making import row, write_annotations

pytestmark = pytest.mark.usefixtures("forked_workers")


@pytest.mark.slow
def test_a_sound_dataset_is_summed_up(
    tiny_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(tiny_dataset, workers=1, quiet=True)
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(f"{tiny_dataset}: 8 clips (layout taskgrain)")
    for text in (
        "category                       2        6           2",
        "8 videos decoded: 188 frames",
        "32 x 32 at 12 frames a second",
        "8 files decoded, 0 known from before",
        "the dataset is sound",
    ):
        assert text in said.out
    assert "FAULT" not in said.out


def test_faults_are_named_up_to_ten_with_what_to_do_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[object] = [row(f"clip-{n:02d}") for n in range(12)]
    write_annotations(tmp_path, rows, [row("last"), {"id": "none"}])
    with pytest.raises(typer.Exit) as ended:
        check(tmp_path, quiet=True)
    assert ended.value.exit_code == 1
    said = capsys.readouterr().out
    assert "FAULT  missing: clips without their video: 13; bring the videos" in said
    assert "         clip-09: videos/clip-09.webm: no such file" in said
    assert "clip-10" not in said
    assert "         ... and 3 more" in said
    assert "FAULT  malformed: rows or files that cannot be read: 1" in said
    assert f"         {tmp_path / 'validation.json'}:3: no" in said
    assert f"clips at fault are listed in {tmp_path / 'ledger.jsonl'}" in said
    assert "2 kinds of fault: mend what is named, and check again" in said


def test_json_is_one_object_with_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_annotations(tmp_path, [row("1")], [row("2")])
    with pytest.raises(typer.Exit) as ended:
        check(tmp_path, as_json=True, quiet=True)
    assert ended.value.exit_code == 1
    said = json.loads(capsys.readouterr().out)
    assert said["sound"] is False
    assert said["videos"] is None
    assert said["faults"]["missing"]["count"] == 2


def test_a_dataset_with_footage_left_out_is_not_called_sound(
    tiny_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tiny_dataset / "videos" / "0.webm"
    (tiny_dataset / "videos" / "more.xyz").write_bytes(video.read_bytes())
    check(tiny_dataset, workers=1, quiet=True)
    said = capsys.readouterr().out
    assert "note   left-out" in said
    assert "videos/*.xyz: 1 file, videos/more.xyz is Matroska or WebM by its content" in said
    assert said.endswith("what was read is sound; see left-out for what was not\n")

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.data.companions import LedgerLine, bytes_of, read_ledger
from taskgrain.data.opening import read_dataset, read_manifest
from taskgrain.errors import ManifestError
from tests.making import PULL, PUSH, row, write_annotations

HIERARCHY = """category,verb,kind
Pushing something from left to right,push,contact
"Pulling something from left to right",pull,contact
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_annotations(tmp_path / "d", [row("1"), row("2", PULL)], [row("3", PUSH)])


def test_a_hierarchy_adds_its_levels_to_the_taxonomy(dataset: Path) -> None:
    (dataset / "hierarchy.csv").write_text(HIERARCHY)
    taxonomy = read_manifest(dataset).taxonomy
    assert taxonomy.names("verb") == ("pull", "push")
    assert taxonomy.names("kind") == ("contact",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HIERARCHY.replace("Pulling", "Puling"), "Puling something"),
        (HIERARCHY.rpartition('"Pulling')[0], "Pulling something"),
        (HIERARCHY.replace("pull,contact", "pull,"), r"hierarchy\.csv:3: "),
        ("\n", r"hierarchy\.csv:1: "),
    ],
)
def test_a_hierarchy_that_does_not_fit_is_a_problem_and_adds_no_level(
    dataset: Path, text: str, said: str
) -> None:
    (dataset / "hierarchy.csv").write_text(text)
    reading = read_dataset(dataset)
    assert {problem.kind for problem in reading.problems} == {"hierarchy"}
    assert reading.hierarchy is None
    assert "verb" not in reading.taxonomy().levels
    with pytest.raises(ManifestError, match=said):
        read_manifest(dataset)


def test_a_hierarchy_that_is_no_text_is_named(dataset: Path) -> None:
    (dataset / "hierarchy.csv").write_bytes(b"category,\xff\n")
    with pytest.raises(ManifestError, match=r"hierarchy\.csv: not UTF-8"):
        read_manifest(dataset)


def test_factors_keep_words_and_null_by_clip(dataset: Path) -> None:
    lines = '{"id": "1", "motion": "push", "speed": 3, "hand": null}\r\n\n{"id": 2}\n'
    (dataset / "factors.jsonl").write_text(lines)
    assert read_dataset(dataset).factors == {"1": {"motion": "push", "hand": None}, "2": {}}


def test_a_line_separator_within_a_factor_is_no_end_of_line(dataset: Path) -> None:
    (dataset / "factors.jsonl").write_text('{"id": "1", "note": "a\u2028b"}\n')
    assert read_dataset(dataset).factors == {"1": {"note": "a\u2028b"}}


@pytest.fixture
def with_lines(tmp_path: Path) -> Path:
    root = write_annotations(tmp_path, [row("1"), row("2")], [row("3")])
    (root / "videos").mkdir()
    (root / "videos" / "1.webm").write_bytes(b"12345")
    return root


def excluded(root: Path, *lines: dict[str, object]) -> list[str | None]:
    text = "\n".join(map(json.dumps, lines))
    (root / "ledger.jsonl").write_text(text + "\n\n")
    return [record.excluded for record in read_manifest(root).records]


def test_failed_and_excluded_clips_are_marked_and_truncated_ones_are_not(with_lines: Path) -> None:
    found = excluded(
        with_lines,
        {"clip": "1", "state": "failed", "problem": "no video stream"},
        {"clip": 2, "state": "excluded", "problem": "someone's face"},
        {"clip": "3", "state": "truncated", "problem": "9 of 40 frames"},
    )
    assert found == ["no video stream", "someone's face", None]


@pytest.mark.parametrize(("size", "holds"), [(5, True), (6, False), (None, False)])
def test_a_line_about_a_file_of_another_size_is_stale(
    with_lines: Path, size: int | None, holds: bool
) -> None:
    line: dict[str, object] = {"clip": "1", "state": "failed", "problem": "cut", "bytes": size}
    assert excluded(with_lines, line) == ["cut" if holds else None, None, None]


@pytest.mark.parametrize(
    ("state", "seconds", "holds"),
    [("failed", 0, True), ("failed", 1, False), ("failed", -1, False), ("excluded", 1, True)],
)
def test_a_line_about_a_file_of_another_time_is_stale_but_for_what_was_excluded(
    with_lines: Path, state: str, seconds: int, holds: bool
) -> None:
    now = (with_lines / "videos" / "1.webm").stat().st_mtime_ns
    line: dict[str, object] = {"clip": "1", "state": state, "problem": "cut", "bytes": 5}
    line["changed"] = now + seconds * 10**9
    assert excluded(with_lines, line) == ["cut" if holds else None, None, None]


def test_a_line_about_a_missing_file_holds_until_the_file_is_there(with_lines: Path) -> None:
    line: dict[str, object] = {"clip": "2", "state": "failed", "problem": "missing", "bytes": None}
    assert excluded(with_lines, line)[1] == "missing"
    (with_lines / "videos" / "2.webm").touch()
    assert excluded(with_lines, line)[1] is None


def test_the_last_line_of_a_clip_counts_and_unknown_clips_are_passed_over(with_lines: Path) -> None:
    found = excluded(
        with_lines,
        {"clip": "1", "state": "failed", "problem": "first"},
        {"clip": "1", "state": "excluded", "problem": "second"},
        {"clip": "of another part", "state": "excluded", "problem": "x"},
    )
    assert found == ["second", None, None]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[1]",
        "[" * 100_000,
        '{"clip": "1", "state": "broken", "problem": "x"}',
        '{"clip": "1", "state": ["failed"], "problem": "x"}',
        '{"clip": "1", "state": "failed"}',
        '{"clip": "../1", "state": "failed", "problem": "x"}',
        '{"state": "failed", "problem": "x"}',
        '{"clip": "1", "state": "failed", "problem": "x", "bytes": "5"}',
        '{"clip": "1", "state": "failed", "problem": "x", "bytes": 5, "changed": true}',
        '{"clip": "1", "state": "failed", "problem": "\\ud83d"}',
    ],
)
def test_a_malformed_line_is_named(with_lines: Path, line: str) -> None:
    (with_lines / "ledger.jsonl").write_text(f"\n{line}\n")
    assert [problem.kind for problem in read_dataset(with_lines).problems] == ["ledger"]
    with pytest.raises(ManifestError, match=r"ledger\.jsonl:2: "):
        read_manifest(with_lines)


def test_a_line_is_written_as_it_was_read(with_lines: Path) -> None:
    lines = (
        LedgerLine("1", "failed", "why", 5, by_hand=False),
        LedgerLine("2", "failed", "why", None, by_hand=False),
        LedgerLine("3", "excluded", "why", None, by_hand=True),
        LedgerLine("4", "failed", "why", 5, by_hand=False, changed=1_700_000_000_123_456_789),
    )
    text = "\n".join(json.dumps(line.to_json()) for line in lines)
    (with_lines / "ledger.jsonl").write_text(text)
    assert read_ledger(with_lines) == (lines, ())


def test_a_folder_of_frames_has_the_bytes_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "1.jpg").write_bytes(b"123")
    (tmp_path / "7" / "2.jpg").write_bytes(b"4567")
    assert bytes_of(tmp_path / "7") == 7
    assert bytes_of(tmp_path / "8") is None
    assert bytes_of(tmp_path / "a\0b") is None


def test_a_problem_that_is_no_text_is_escaped(with_lines: Path) -> None:
    line = LedgerLine("1", "failed", "\udcff.mp4: cut", 5, by_hand=False)
    (with_lines / "ledger.jsonl").write_text(json.dumps(line.to_json()))
    (read,), problems = read_ledger(with_lines)
    assert (read.problem, problems) == ("\\udcff.mp4: cut", ())

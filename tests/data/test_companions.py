from __future__ import annotations

from pathlib import Path

import pytest

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

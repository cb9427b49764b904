from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskgrain.data.manifest import Split, read_manifest
from taskgrain.errors import ManifestError
from tests.making import PUSH, row, write_annotations


def test_a_row_becomes_a_record(tmp_path: Path) -> None:
    write_annotations(tmp_path, [row("7", PUSH, "a red cup")], [row("8")])
    manifest = read_manifest(tmp_path)
    record = manifest.split(Split.TRAIN)[0]
    assert (record.clip_id, record.category) == ("7", "Pushing something from left to right")
    assert record.placeholders == ("a red cup",)
    assert record.caption == "pushing a red cup from left to right"
    assert [r.clip_id for r in manifest.split(Split.VALIDATION)] == ["8"]


def test_every_bad_row_is_named_with_its_line(tmp_path: Path) -> None:
    bad: list[object] = [
        row("1"),
        {"id": "2", "template": PUSH, "placeholders": ["a"]},
        {"id": "3", "label": "x", "template": PUSH, "placeholders": []},
        17,
        {"label": "x", "template": PUSH, "placeholders": ["a"]},
        row("1"),
        row("../../etc/passwd"),
    ]
    write_annotations(tmp_path, bad, [row("9")])
    with pytest.raises(ManifestError) as caught:
        read_manifest(tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    for line, number, said in zip(
        lines,
        (3, 4, 5, 6, 7, 8),
        ('no "label"', "1 brackets, but 0", "expected an", 'no "id"', "already", "file name"),
        strict=True,
    ):
        assert line.startswith(f"{tmp_path / 'train.json'}:{number}: ")
        assert said in line


def test_more_than_ten_bad_rows_are_counted(tmp_path: Path) -> None:
    write_annotations(tmp_path, [{"id": str(n)} for n in range(14)], [row("99")])
    with pytest.raises(ManifestError, match=r"\.\.\. and 4 more"):
        read_manifest(tmp_path)


def test_one_clip_in_two_splits_is_refused(tmp_path: Path) -> None:
    write_annotations(tmp_path, [row("1")], [row("1")])
    with pytest.raises(ManifestError, match=r'id "1" stands already at train\.json:2'):
        read_manifest(tmp_path)


def test_a_template_outside_labels_json_names_its_neighbour(tmp_path: Path) -> None:
    write_annotations(tmp_path, [row("1")], [row("2", "Pushing [something] from left to rigth")])
    labels = {"Pushing something from left to right": "0"}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(ManifestError, match="did you mean 'Pushing something from left to right'"):
        read_manifest(tmp_path)


def test_text_that_is_no_json_is_placed(tmp_path: Path) -> None:
    write_annotations(tmp_path, [row("1")], [row("2")])
    (tmp_path / "train.json").write_text('[\n{"id": "1"},\n{"id": oops}\n]')
    with pytest.raises(ManifestError, match=r"train\.json:3: not JSON"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.json", '[{"id": "1"}] [{"id": "2"}]'),
        ("train.json", "[" + "9" * 5000 + "]"),
        ("train.json", "[" * 100_000),
        ("labels.json", "[" * 100_000),
        ("labels.json", '{"\\ud83d": "0"}'),
        ("factors.jsonl", '{"motion": "push"}'),
        ("factors.jsonl", "[" * 100_000),
    ],
)
def test_strange_files_are_named(tmp_path: Path, name: str, text: str) -> None:
    write_annotations(tmp_path, [row("1")], [row("2")])
    (tmp_path / name).write_text(text)
    with pytest.raises(ManifestError, match=rf"{name}:1: "):
        read_manifest(tmp_path)


def test_half_a_surrogate_pair_is_refused_where_it_stands(tmp_path: Path) -> None:
    write_annotations(tmp_path, [row("1")], [row("2")])
    text = (tmp_path / "train.json").read_text().replace("a red cup", "a \\ud83d cup")
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(ManifestError, match=r"train\.json:2: "):
        read_manifest(tmp_path)


def test_blank_lines_between_factors_and_factors_that_are_null_are_allowed(tmp_path: Path) -> None:
    write_annotations(tmp_path, [row("1")], [row("2")])
    (tmp_path / "factors.jsonl").write_text('{"id": 1, "motion": null, "x": 3}\n\n')
    assert read_manifest(tmp_path).factors == {"1": {"motion": None}}


def test_a_missing_folder_and_a_missing_file_say_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such folder"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(ManifestError, match=r"train\.json: no such file"):
        read_manifest(tmp_path)


def test_video_files_of_other_kinds_are_found_by_id(tmp_path: Path) -> None:
    write_annotations(tmp_path, [row("1"), row("2")], [row("3")])
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "1.MP4").touch()
    records = read_manifest(tmp_path).records
    assert [record.path.name for record in records] == ["1.MP4", "2.webm", "3.webm"]


def test_test_clips_have_ids_only(tmp_path: Path) -> None:
    write_annotations(tmp_path, [row("1")], [row("2")])
    (tmp_path / "test.json").write_text('[{"id": "3"}, {"id": 4}]')
    manifest = read_manifest(tmp_path)
    assert manifest.test_ids == ("3", "4")
    assert len(manifest.records) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["id", "label", "template", "placeholders"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(KEYS, JSON) | JSON, max_size=4))
def test_only_manifest_errors_come_of_strange_rows(tmp_path: Path, rows: list[object]) -> None:
    write_annotations(tmp_path, rows, [row("valid")])
    with pytest.raises(ManifestError, match=r"train\.json:\d+: "):
        read_manifest(tmp_path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:0a \n', max_size=40).map(str.encode))
def test_only_manifest_errors_come_of_strange_bytes(tmp_path: Path, text: bytes) -> None:
    write_annotations(tmp_path, [row("1")], [row("2")])
    (tmp_path / "train.json").write_bytes(text)
    with pytest.raises(ManifestError, match=r"train\.json"):
        read_manifest(tmp_path)

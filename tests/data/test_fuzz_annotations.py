"""Whatever stands in a file of annotations, only the documented errors come out."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.opening import read_dataset, read_manifest
from taskgrain.errors import ManifestError, TaxonomyError
from tests.making import PULL, PUSH, row, write_annotations

SEGMENTS = "label,youtube_id,time_start,time_end,split\n"
HIERARCHY = "category,verb\nPushing something from left to right,push\n"
LEDGER = '{"clip": "1", "state": "failed", "problem": "cut", "bytes": 3}\n'
TEMPLATE_NAMES = '{"Pushing something from left to right": "0"}'

FILES: dict[str, dict[str, str]] = {
    "taskgrain": {
        "train.json": json.dumps([row("1"), row("2") | {"captions": ["x", "y"]}]),
        "validation.json": json.dumps([row("3")], indent=1),
        "test.json": json.dumps([{"id": "4"}, row("5")]),
        "labels.json": TEMPLATE_NAMES,
        "factors.jsonl": '{"id": "1", "motion": "push"}\n{"id": 2, "motion": null}\n',
        "hierarchy.csv": HIERARCHY,
        "ledger.jsonl": LEDGER,
    },
    "something-something-v2": {
        "labels/train.json": json.dumps([row("1")]),
        "labels/validation.json": json.dumps([row("2")]),
        "labels/test.json": '[{"id": "3"}]',
        "labels/labels.json": TEMPLATE_NAMES,
        "labels/test-answers.csv": "3;Pushing something from left to right\n",
    },
    "something-something-v1": {
        "something-something-v1-train.csv": "1;Nodding\n2;Waving\n",
        "something-something-v1-validation.csv": "3;Nodding\n",
        "something-something-v1-test.csv": "4\n",
        "something-something-v1-labels.csv": "Nodding\nWaving\n",
    },
    "jester": {"jester-v1-train.csv": "1;Nodding\n2;Waving\n", "jester-v1-test.csv": "4\n"},
    "kinetics": {
        "train.csv": SEGMENTS + "nod,abc,0,10,train\nwave,def,5,15,val\n",
        "list.csv": 'path,label\na/b.mp4,nod\n"c,d.mp4",wave\n',
        "ledger.jsonl": LEDGER,
    },
    "captions": {
        "captions.csv": "id,caption,category\n1,a cup falls,falling\n2,,rising\n",
        "captions.jsonl": '{"file": "a.mp4", "captions": ["x", "y"], "split": "val"}\n',
        "hierarchy.csv": HIERARCHY,
    },
}
STRANGE = (
    *(
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n\n",
        b"\xe2\x80\xa8",
        b'"',
        b"'",
    ),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b";",
        b"\t",
        b"\\",
        b"\\ud83d",
        b'"\\u0000"',
        b"NaN",
        b"-Infinity",
    ),
    *(b"null", b"true", b"[]", b"{}", b"-1", b"1e999", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000),
    *(b'"' + b"x" * 140_000, b"../", b"/etc/passwd", b"a" * 300, b"C:\\", b"=", b"\x1a", b"\x0b"),
)
ASKED = LayoutOptions(test_answers=True)
CASES = [(layout, name) for layout, files in FILES.items() for name in files]


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """Change a valid file in one to three places, or replace it by noise."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(200))
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(whole) + 1)
        end = min(len(whole), start + rng.choice((0, 0, 1, 4, 20)))
        kind = rng.randrange(5)
        if kind == 0:
            whole = whole[:start]
        elif kind == 1:
            whole = whole[:start] + bytes([rng.randrange(256)]) + whole[start + 1 :]
        elif kind == 2:
            whole = whole[:start] + whole[end:] + whole[start:end]
        else:
            whole = whole[:start] + rng.choice(STRANGE) + whole[end:]
    return whole


def write_all(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(("layout", "name"), CASES)
def test_a_mutated_file_gives_documented_errors_alone(
    tmp_path: Path, layout: str, name: str
) -> None:
    write_all(tmp_path, FILES[layout])
    read_dataset(tmp_path, layout=layout)
    rng = random.Random(f"{layout}/{name}")
    refused = 0
    for _ in range(60):
        (tmp_path / name).write_bytes(mutated(FILES[layout][name].encode(), rng))
        reading = read_dataset(tmp_path, layout=layout, options=ASKED)
        for problem in reading.problems:
            assert problem.where.startswith(str(tmp_path))
            assert len(str(problem)) < 2000
        try:
            read_manifest(tmp_path, options=ASKED)
        except (ManifestError, TaxonomyError):
            refused += 1
    assert refused > 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["id", "label", "template", "placeholders", "captions", "file", "caption", "split", "category"]
)
ROWS = st.lists(st.dictionaries(KEYS, JSON) | JSON, max_size=4)
FEW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.slow
@FEW
@given(ROWS)
def test_strange_rows_are_named_with_their_line(tmp_path: Path, rows: list[object]) -> None:
    write_annotations(tmp_path, rows, [row("valid", PULL)])
    with pytest.raises(ManifestError, match=r"train\.json:\d+: "):
        read_manifest(tmp_path)


@pytest.mark.slow
@FEW
@given(ROWS)
def test_strange_lines_beside_good_ones_are_problems(tmp_path: Path, rows: list[object]) -> None:
    lines = ['{"id": "good", "caption": "x", "category": "a"}', *map(json.dumps, rows)]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    reading = read_dataset(tmp_path, layout="captions")
    assert "good" in {record.clip_id for record in reading.records} or reading.problems


@FEW
@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:;0a \n', max_size=40).map(str.encode))
def test_strange_bytes_are_refused(tmp_path: Path, text: bytes) -> None:
    write_annotations(tmp_path, [row("1", PUSH)], [row("2")])
    for name in ("train.json", "labels.json", "ledger.jsonl", "hierarchy.csv", "factors.jsonl"):
        (tmp_path / name).write_bytes(text)
        with suppress(ManifestError, TaxonomyError):
            read_manifest(tmp_path)
    (tmp_path / "train.json").write_bytes(text)
    with pytest.raises(ManifestError, match=r"train\.json"):
        read_manifest(tmp_path)

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from taskgrain.errors import ManifestError, ResultError, TaskgrainError
from taskgrain.metrics.references import ReferenceClip
from taskgrain.tools.score.caption_files import (
    CLIP_KEYS,
    MAX_LETTERS,
    read_predictions,
    read_references,
)
from tests.making import row

KNOWN = {"1": ReferenceClip(("pushing a cup",)), "2": ReferenceClip(("tearing paper",))}
SAID = {"1": "pushing a cup", "2": ""}


def write(folder: Path, value: object) -> Path:
    path = folder / "captions.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "value",
    [
        [{"id": "1", "caption": "pushing a cup"}, {"id": "2", "caption": ""}],
        [{"image_id": 2, "caption": ""}, {"image_id": 1, "caption": "pushing a cup"}],
        '{"clip": "my clips/1.webm", "caption": "pushing a cup"}\n\n{"clip": "2", "caption": ""}\n',
        '\ufeff[{"id": 1, "caption": "pushing a cup"},\r\n {"id": "2", "caption": ""}]',
        [{"video_id": "2", "caption": ""}, {"video_id": "1.mp4", "caption": "pushing a cup"}],
        {"1": ["pushing a cup"], "2": [""]},
        {"2": "", "1": "pushing a cup"},
        {"1": [{"image_id": 1, "id": 9, "caption": "pushing a cup"}], "2": [{"caption": ""}]},
        {
            "predictions": [
                {"image_id": 1, "caption": "pushing a cup"},
                {"image_id": 2, "caption": ""},
            ]
        },
        {"results": {"1": ["pushing a cup"], "2": [""]}, "version": "1.0"},
        {
            "annotations": [
                {"image_id": 1, "id": 2, "caption": "pushing a cup"},
                {"image_id": 2, "id": 1, "caption": ""},
            ]
        },
    ],
    ids=[
        *("ours", "coco", "a row a line", "windows", "video_id", "by id", "one text by id"),
        *("as pycocoevalcap takes it", "predictions", "results", "annotations"),
    ],
)
def test_predictions_are_read_in_the_order_of_the_references(tmp_path: Path, value: object) -> None:
    said = read_predictions(write(tmp_path, value), KNOWN)
    assert list(said.items()) == list(SAID.items())


def test_a_single_row_on_a_line_is_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, {"id": "1", "caption": "a"})
    assert read_predictions(path, {"1": KNOWN["1"]}) == {"1": "a"}


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"id": "1", "caption": "a"}], r"no caption for 1 of 2 clips: '2'.*counts as wrong"),
        ([{"id": "11", "caption": "a"}], r":1: id '11' has no reference; did you mean '1'"),
        ([{"id": "1", "caption": "a"}] * 2, r"a second caption of '1', see row 1"),
        ([{"id": "1"}], r':1: "caption" is missing; expected a text'),
        ([{"id": "1", "caption": 5}], r'"caption" is 5; expected a list of captions'),
        ([{"id": "1", "caption": "\ud800"}], r"expected a text"),
        ([{"id": "1", "caption": "a" * (MAX_LETTERS + 1)}], r"expected at most 10000"),
        ([{"caption": "a"}], r'no "clip" or "image_id" or "video_id" or "id"; the row holds "capt'),
        (
            [{"videoID": "1", "enCap": ["a"]}],
            r'"caption" is missing.* row holds "videoID", "enCap"',
        ),
        ([{"id": "1", "label": "a"}], r'"caption" is missing.* row holds "id", "label"'),
        (
            [{"image_id": 1, "caption": "a"}, {"id": 2, "caption": "a"}],
            r'no "image_id"; the row holds "id", "caption"',
        ),
        ({"1": ["a", "b"], "2": ["a"]}, r"id '1': 2 captions of '1'; expected one"),
        ({"annotations": [{"id": 1, "caption": "a"}]}, r'annotation 1: no "clip" or "image_id" or'),
        ([{"id": True, "caption": "a"}], r'"id" is true; expected a text or a number'),
        ([{"id": 1.5, "caption": "a"}], r'"id" is 1.5'),
        ([5], r":1: expected an object, found 5"),
        ({"1": 5}, r'id \'1\': "captions" is 5; expected a list of captions'),
        ("5", r"expected rows"),
        ("[{]", r"captions.json:1: not JSON"),
        ('{"id": "1", "caption": "a"}\n{"id"', r"captions.json:2: not JSON"),
        ("", r"captions.json:1: not JSON"),
    ],
)
def test_predictions_that_cannot_be_used_are_named(
    tmp_path: Path, rows: object, problem: str
) -> None:
    with pytest.raises(ResultError, match=problem):
        read_predictions(write(tmp_path, rows), KNOWN)


@pytest.mark.parametrize("key", [key for key in CLIP_KEYS if key != "id"])
def test_an_id_beside_the_name_of_the_clip_is_the_number_of_the_row(
    tmp_path: Path, key: str
) -> None:
    captions = {"3": "a", "1": "b", "2": "c"}  # in another order than the numbers of the rows
    rows = [
        {"id": number, key: int(clip_id), "caption": caption}
        for number, (clip_id, caption) in enumerate(captions.items(), 1)
    ]
    path = write(tmp_path, rows)
    assert read_predictions(path, KNOWN | {"3": KNOWN["1"]}) == captions
    assert {name: clip.captions[0] for name, clip in read_references(path).items()} == captions


DENSE = {
    "references": {"v1": {"duration": 9, "timestamps": [[0, 5], [5, 9]], "sentences": ["a", "b"]}},
    "results": {"version": "1", "results": {"v1": [{"sentence": "a", "timestamp": [0, 5]}]}},
    "recipes": {"database": {"v1": {"annotations": [{"segment": [0, 5], "sentence": "a"}]}}},
}


@pytest.mark.parametrize("form", DENSE)
def test_dense_captions_are_refused_in_their_own_words(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, DENSE[form])
    problem = "captions.json: dense captions: 'v1' holds .*\"sentences?\".*" + (
        r'expected captions of one clip.*\{"v1 0-5": \["caption"\]\}'
    )
    with pytest.raises(ManifestError, match=problem):
        read_references(path)
    with pytest.raises(ResultError, match=problem):
        read_predictions(path, KNOWN)


def test_what_the_refusal_of_dense_captions_asks_for_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, {"v1 0-5": ["a"], "v1 5-9": ["b"]})
    assert read_predictions(path, read_references(path)) == {"v1 0-5": "a", "v1 5-9": "b"}


def test_problems_are_listed_together_with_their_lines(tmp_path: Path) -> None:
    rows = ",\n".join(json.dumps({"id": str(number), "caption": "a"}) for number in range(20, 40))
    with pytest.raises(ResultError, match=r"captions.json:3: id '22' has(.|\n)*and 10 more"):
        read_predictions(write(tmp_path, f"[{rows}]"), KNOWN)


@pytest.mark.parametrize(
    "value",
    [
        {"1": ["pushing a cup", "pushing cup"], "2": ["tearing paper"]},
        {
            "annotations": [
                {"image_id": 1, "id": 7, "caption": "pushing a cup"},
                {"image_id": 2, "id": 8, "caption": "tearing paper"},
                {"image_id": 1, "id": 9, "caption": "pushing cup"},
            ],
            "images": [],
        },
        [
            {"id": "1", "label": "pushing a cup", "captions": ["pushing a cup", "pushing cup"]},
            {"id": "2", "label": "tearing paper"},
        ],
        '{"id": "1", "label": "pushing a cup", "captions": ["pushing cup"]}\n'
        '{"id": "2", "label": "tearing paper"}',
        [
            {"image_id": 1, "id": 2, "caption": "pushing a cup"},
            {"image_id": 1, "id": 1, "caption": "pushing cup"},
            {"image_id": 2, "id": 3, "caption": "tearing paper"},
        ],
        {
            "info": {"year": "2016"},
            "videos": [{"video_id": "1", "id": 0}],
            "sentences": [
                {"video_id": "1", "sen_id": 0, "caption": "pushing a cup"},
                {"video_id": "2", "sen_id": 1, "caption": "tearing paper"},
                {"video_id": "1", "sen_id": 2, "caption": "pushing cup"},
            ],
        },
        {"1": [{"caption": "pushing a cup"}, {"caption": "pushing cup"}], "2": "tearing paper"},
        [
            {"id": 1, "captions": ["pushing a cup", "pushing cup"]},
            {"id": 2, "caption": "tearing paper"},
        ],
    ],
    ids=[
        *("by id", "coco", "ours", "a row a line", "a bare list of coco's", "MSR-VTT"),
        *("as pycocoevalcap takes it", "a list in a row"),
    ],
)
def test_references_are_read_in_every_format(tmp_path: Path, value: object) -> None:
    assert read_references(write(tmp_path, value)) == {
        "1": ReferenceClip(("pushing a cup", "pushing cup")),
        "2": ReferenceClip(("tearing paper",)),
    }


def test_a_dataset_s_own_rows_say_the_template(tmp_path: Path) -> None:
    path = write(tmp_path, [row("5", "Pushing [something]", "a red cup")])
    expected = ReferenceClip(("pushing a red cup",), "Pushing [something]", ("a red cup",))
    assert read_references(path) == {"5": expected}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"1": []}, r"id '1': \"captions\" is \[\]; expected a list of captions"),
        ({"1": 5}, r'"captions" is 5; expected a list'),
        ({"1": {"text": "a"}}, r'id \'1\': "captions" is "text"; expected a list'),
        (
            {"images": [{"sentences": [{"raw": "a"}], "imgid": 0}], "dataset": "coco"},
            r'id \'images\': "caption" is missing.* holds "sentences", "imgid"',
        ),
        ({"annotations": [{"id": 1, "caption": "a"}]}, r'annotation 1: no "clip" or "image_id" or'),
        ([{"image_id": 1}], r':1: "caption" is missing.*holds "image_id"'),
        ({"1": ["a", " "]}, r'"captions" is empty'),
        ({}, "holds no reference"),
        ([], "holds no reference"),
        ("5", "expected rows .* or captions by id"),
        ([{"id": "1", "label": ""}], r':1: "label" is empty'),
        ([{"id": "1", "label": "a"}, {"id": 1, "label": "b"}], "id '1' stands there twice"),
        ([{"label": "a"}], 'no "id"'),
        ([{"id": "1", "label": "a", "template": "a [x]"}], "has 1 brackets, but 0 placeholders"),
        ([{"id": "1", "label": "a", "template": "a", "placeholders": 3}], "not a list of texts"),
        ({"annotations": [{"image_id": 1}]}, r'annotation 1: "caption" is missing'),
        ({"annotations": [7]}, "annotation 1: expected an object"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_references_that_cannot_be_used_are_named(
    tmp_path: Path, value: object, problem: str
) -> None:
    with pytest.raises(ManifestError, match=problem):
        read_references(write(tmp_path, value))


def test_only_errors_that_can_be_mended_come_out_of_mangled_files(tmp_path: Path) -> None:
    chance = random.Random(0)
    whole = json.dumps([{"id": "1", "label": "a \ud83d\ude00", "caption": "b"}, {"image_id": 2}])
    refused = 0
    for _ in range(400):
        mangled = bytearray(whole.encode())
        for _ in range(chance.randint(1, 4)):
            mangled[chance.randrange(len(mangled))] = chance.randrange(256)
        path = tmp_path / "mangled.json"
        path.write_bytes(bytes(mangled))
        for read in (read_references, lambda path: read_predictions(path, KNOWN)):
            try:
                read(path)
            except TaskgrainError:
                refused += 1
    assert refused > 400


def test_a_file_of_unknown_clips_alone_is_refused_quickly(tmp_path: Path) -> None:
    references = {f"known {number}": KNOWN["1"] for number in range(1000)}
    path = write(tmp_path, [{"id": f"other {number}", "caption": "a"} for number in range(20_000)])
    started = time.perf_counter()
    with pytest.raises(ResultError, match="and 19990 more"):
        read_predictions(path, references)
    assert time.perf_counter() - started < 20  # a tenth of it: looking once a row takes minutes

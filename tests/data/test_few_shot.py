from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.data.few_shot import few_shot_records, read_few_shot
from taskgrain.data.manifest import ClipRecord, Split
from taskgrain.errors import ManifestError

HOLE, TWIST, CUT = "Poking a hole into [something soft]", "Twisting [something]", "Cut/saw [it]"
TEMPLATES = {"12": HOLE, "345": HOLE, "6": TWIST, "78": TWIST, "9": TWIST, "10": CUT, "11": CUT}
FORMS = {
    "test.list": "{hole}/12\n{hole}/345\nTwisting something/6\nTwisting something/78\n",
    "testlist07.txt": "test18/12\r\n\r\ntest18/345\r\ntest3/6\r\n  test3/78  \r\n",
    "test_few_shot.txt": "test18//a b/12.mp4\ntest18//345.mkv\ntest3//x/6.webm\ntest3//78\n",
    "meta_test.txt": "12 52 18\n345 66 18\n6 10 3\nx/78.webm 7 3\n",
    "novel.list": "12 18\n345 18\n6 3\n78 3",
    "a.csv": "Video_ID;Class\n12;Poking a hole into [something soft]\n345;{hole}\n6;t\n78;t\n",
    "a.tsv": "id\tlabel\tframes\n12\t18\t52\n345\t18\t1\n6\t3\t66\n78\t3\t66\n",
    "a.jsonl": '{"id": 12, "class": 18}\n{"id": "345", "class": "18"}\n'
    '{"file": "6.webm", "class": 3}\n{"id": "78", "class": 3}\n',
    "a.json": '{"18": ["12", 345], "3": [6, "78"]}',
    "rows.json": '[{"id": "12", "label": "a caption", "template": "{hole}"},\n'
    '{"id": 345, "class": "{hole}"}, {"id": "6", "class": 3}, {"id": "78", "class": 3}]',
    "images.json": '{"image_names": ["a/12.webm", "345", "6.mp4", "78"], '
    '"image_labels": [18, 18, 3, 3]}',
}


def records(templates: dict[str, str] = TEMPLATES) -> tuple[ClipRecord, ...]:
    root = Path("root")
    return tuple(
        ClipRecord(clip, Split.TRAIN, template, ("x",), ("said",), root, f"videos/{clip}.webm")
        for clip, template in templates.items()
    )


def write(path: Path, text: str) -> Path:
    # As Kinetics lists write them: underscores and capitals differ from the dataset's name.
    text = text.replace("{hole}", "Poking a hole into something soft")
    path.write_text(text.replace(";t\n", ";twisting_something\n"), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FORMS)
def test_every_published_form_names_the_same_clips(name: str, tmp_path: Path) -> None:
    listed = read_few_shot(write(tmp_path / name, FORMS[name]))
    assert [clip.clip_id for clip in listed.clips] == ["12", "345", "6", "78"]
    kept = few_shot_records(listed, records())
    assert [(record.clip_id, record.template) for record in kept] == [
        ("12", HOLE),
        ("345", HOLE),
        ("6", TWIST),
        ("78", TWIST),
    ]


def test_a_class_with_a_slash_in_its_name_is_read_to_the_last(tmp_path: Path) -> None:
    listed = read_few_shot(write(tmp_path / "t.list", "Cut/saw it/10\nCut/saw it/11\n"))
    assert [(clip.clip_id, clip.class_name) for clip in listed.clips] == [
        ("10", "Cut/saw it"),
        ("11", "Cut/saw it"),
    ]
    assert len(few_shot_records(listed, records())) == 2


@pytest.mark.parametrize(
    ("name", "text", "split"),
    [
        ("test.list", "{hole}/12", Split.TEST),
        ("vallist03.txt", "{hole}/12", Split.VALIDATION),
        ("train_few_shot.txt", "{hole}/12", Split.TRAIN),
        ("latest.txt", "{hole}/12", None),
        ("mine.txt", "{hole}/12", None),
        ("list.txt", "val3/12", Split.VALIDATION),
        ("base.csv", "id,class\n12,3\n", Split.TRAIN),
        ("train.txt", "test3/12", Split.TEST),  # what the content says goes first
    ],
)
def test_the_split_is_told_by_the_content_or_the_name(
    name: str, text: str, split: Split | None, tmp_path: Path
) -> None:
    assert read_few_shot(write(tmp_path / name, text)).split is split


def test_of_several_splits_the_one_in_the_name_is_read_or_test(tmp_path: Path) -> None:
    text = json.dumps({"train": {"3": [6]}, "val": {"18": [12]}, "test": {"18": [345]}})
    for name, clip in (("all.json", "345"), ("val.json", "12"), ("novel.json", "345")):
        found = read_few_shot(write(tmp_path / name, text))
        assert [each.clip_id for each in found.clips] == [clip]
    table = write(tmp_path / "a.csv", "id,class,split\n6,3,train\n12,18,val\n345,18,novel\n78,3,\n")
    assert [each.clip_id for each in read_few_shot(table).clips] == ["345", "78"]
    neither = write(tmp_path / "b.csv", "id,class,split\n6,3,train\n12,18,val\n")
    with pytest.raises(ManifestError, match=r"b\.csv: holds clips of train and validation, and no"):
        read_few_shot(neither)
    wrong = write(tmp_path / "c.csv", "id,class,split\n6,3,trial\n")
    with pytest.raises(ManifestError, match=r"c\.csv:2: split 'trial'; expected one of train, bas"):
        read_few_shot(wrong)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "a.txt",
            "test1/12\n\nno class here\n",
            r"a\.txt:3: 'no class here' is none of \"CLASS/ID",
        ),
        ("a.txt", "/12", r"a\.txt:1: '/12' is none of"),
        ("a.txt", "\n \n", r"a\.txt: holds no clip; expected lines of"),
        ("a.txt", "x/12\ny/13\nz/12", r"a\.txt:3: clip 12 is there twice, first at .*a\.txt:1"),
        (
            "a.csv",
            "id,name\n12,3\n",
            r"a\.csv:2: has no clip or no class; expected columns clip or",
        ),
        ("a.json", '{"3": "12"}', r"a\.json: class '3' holds no list of ids"),
        (
            "a.json",
            '{"3": [12], "4": ["12"]}',
            r"a\.json: 4: clip 12 is there twice, first at .* 3",
        ),
        ("a.json", '{"test": [12]}', r"a\.json: test holds no object"),
        ("a.json", '[{"id": 1, "class": 2},\n{"id": 3}]', r"a\.json:2: has no clip or no class"),
        ("a.json", "[]", r"a\.json: expected \{\"class\": \[\"id\", \.\.\.\]\} or rows with"),
        ("a.json", "{", r"a\.json:1: not JSON"),
        ("a.json", '{"image_names": ["1"], "image_labels": []}', "are no lists of the same length"),
        ("a.json", '{"image_names": [["1"]], "image_labels": [1]}', "is no clip of a class"),
        ("a.jsonl", '{"id": 1, "class": 2}\n[]\n', r"a\.jsonl:2: expected an object"),
    ],
)
def test_what_is_no_list_is_refused_by_its_line(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match=problem):
        read_few_shot(write(tmp_path / name, text))


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone\.txt: no such file; expected a few-shot list"):
        read_few_shot(tmp_path / "gone.txt")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("test1/12\ntest1/999\n", r"a\.txt:2: the dataset has no annotated clip '999'"),
        (
            "{hole}/12\nTwistin something/6\nTwistin something/78\n",
            r"a\.txt:2: the dataset has no category 'Twistin something'; did you mean 'Twist",
        ),
        ("{hole}/12\n{hole}/6\n", r"a\.txt:2: clip 6 is 'Twisting something' in the dataset, not"),
        (
            "test1/12\ntest1/345\ntest1/6",
            r"a\.txt:3: clip 6 is 'Twisting something' in the dataset, clips of class test1 before",
        ),
        (
            "test1/12\ntest2/345\n",
            r"a\.txt:2: class test2 is 'Poking .*' in the dataset, as class t",
        ),
        ("test1/12\n", r"a\.txt: class 'Poking a hole into something soft' has one clip; it takes"),
    ],
)
def test_clips_and_classes_that_do_not_fit_the_dataset_are_named_by_line(
    text: str, problem: str, tmp_path: Path
) -> None:
    listed = read_few_shot(write(tmp_path / "a.txt", text))
    with pytest.raises(ManifestError, match=problem):
        few_shot_records(listed, records())


def test_an_unknown_class_is_told_once_for_all_its_clips(tmp_path: Path) -> None:
    listed = read_few_shot(write(tmp_path / "a.txt", "Opening/12\nOpening/345\nOpening/6\n"))
    with pytest.raises(ManifestError) as raised:
        few_shot_records(listed, records())
    assert len(str(raised.value).splitlines()) == 1


def test_half_of_each_class_is_support_whatever_the_order_and_the_dataset_around_it(
    tmp_path: Path,
) -> None:
    names = {str(index): (HOLE, TWIST, CUT)[index % 3] for index in range(90)}
    text = [f"test{index % 3}/{index}" for index in range(81)]
    first = read_few_shot(write(tmp_path / "a.txt", "\n".join(text)))
    again = read_few_shot(write(tmp_path / "b.txt", "\n".join(reversed(text))))
    kept = few_shot_records(first, records(names))
    for template in (HOLE, TWIST, CUT):
        mine = [record.split for record in kept if record.template == template]
        assert (mine.count(Split.TRAIN), mine.count(Split.VALIDATION)) == (13, 14)
    fewer = dict(reversed([(clip, name) for clip, name in names.items() if int(clip) < 81]))
    assert {record.clip_id: record.split for record in kept} == {
        record.clip_id: record.split for record in few_shot_records(again, records(fewer))
    }
    in_order = sum(int(record.clip_id) < 40 for record in kept if record.split is Split.TRAIN)
    assert 10 < in_order < 30  # by the hash, not by the id

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from taskgrain.errors import ConfigError, ManifestError
from taskgrain.results import read_rows
from taskgrain.tools.compare.command import compare
from taskgrain.tools.compare.page import p_words
from taskgrain.transfer.probes import softmax_regression
from tests.tools.compare.made import (
    CLASSES,
    class_of,
    clip_names,
    features_of,
    write_labels,
    write_npz,
)

CLIPS = clip_names(24)
QUICK = {"shots": "1,all", "draws": 20, "probes": "ridge"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    write_labels(tmp_path / "y.csv", CLIPS)
    return {
        "weak": str(write_npz(tmp_path / "weak.npz", CLIPS, gap=0.4)),
        "strong": str(write_npz(tmp_path / "<b>strong & 1_0%.npz", CLIPS, gap=1.5, seed=1)),
        "labels": str(tmp_path / "y.csv"),
    }


def run(files: dict[str, str], **more: object) -> None:
    compare([files["weak"], files["strong"]], Path(files["labels"]), **{**QUICK, **more})  # type: ignore[arg-type]


def test_a_table_is_printed_with_what_it_means(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(files)
    said = capsys.readouterr().out
    assert said.startswith("In top-1 accuracy on 60 clips of 5 classes, <b>strong & 1_0% is ")
    for line in (
        "2 sources on 5 classes: 60 clips to learn from, 60 scored",
        "preview: encoder seeds: weak 1, <b>strong & 1_0% 1;",
        "top-1 accuracy, percent",
        "<b>strong & 1_0% - weak",
        "chance",
        "permuted labels, weak",
        "note: without --groups, clips of one recording may be on both sides",
        "corrected by Holm over all 2 differences in top-1",
    ):
        assert line in said
    header = next(line for line in said.split("\n") if line.startswith("ridge"))
    assert header.split() == ["ridge", "over", "1", "all"]
    weak = next(line for line in said.split("\n") if line.startswith("weak"))
    assert re.fullmatch(r"weak +clips( +\d\d\.\d \[\d\d\.\d.\d+\.\d\]){2}", weak)
    assert len(weak) == len(header)


def test_json_is_one_object_the_same_every_time(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(files, as_json=True)
    first = capsys.readouterr().out
    run(files, as_json=True, quiet=True)
    assert capsys.readouterr().out == first
    said = json.loads(first)
    assert said["classes"] == list(CLASSES)
    assert said["primary"] == "weak"
    assert [source["name"] for source in said["sources"]] == ["weak", "<b>strong & 1_0%"]
    assert said["alarms"] == []
    assert {row["metric"] for row in said["rows"]} == {"top-1", "mean-per-class"}
    assert [d["p-holm"] is None for d in said["differences"]] == [False, True] * 2
    assert said["format"] == 1


def test_the_folder_holds_everything_and_equal_bytes(files: dict[str, str], tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(files, out=tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == [
        *("comparison.html", "comparison.json", "comparison.tex"),
        *("results.jsonl", "sides.csv"),
    ]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with (tmp_path / "one" / "sides.csv").open(encoding="utf-8", newline="") as file:
        sides = list(csv.DictReader(file))
    assert len(sides) == len(CLIPS)
    assert {side["split"] for side in sides} == {"support", "scored"}


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone_and_names_are_only_text(
    files: dict[str, str], tmp_path: Path
) -> None:
    run(files, html=tmp_path / "deep" / "page.html", probes="ridge,nearest-mean")
    page = Page()
    page.feed((tmp_path / "deep" / "page.html").read_text(encoding="utf-8"))
    assert page.tags.count("table") == 2
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert page.links
    assert all(link.startswith("#") for link in page.links)
    assert page.tags.count("figure") == 1
    assert "<b>strong & 1_0%" in page.text
    assert "preview" in page.text
    assert "corrected by Holm" in page.text


def test_the_latex_tables_are_escaped(files: dict[str, str], tmp_path: Path) -> None:
    run(files, latex=tmp_path / "t.tex", metric="mean-per-class")
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    assert text.count(r"\begin{tabular}") == text.count(r"\bottomrule") == 1
    assert r"strong \& 1\_0\%" in text
    assert "$p <$ 0.001" in text
    assert "p < " not in text


def test_an_alarm_leads_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskgrain.tools.compare.notes.ALARM_LEVEL", 1.0)
    monkeypatch.setattr("taskgrain.statistics.tests.ALARM_LEVEL", 1e6)
    write_labels(tmp_path / "y.csv", CLIPS)
    sources = [str(write_npz(tmp_path / f"{name}.npz", CLIPS, gap=0.4)) for name in "ab"]
    compare(
        sources, tmp_path / "y.csv", html=tmp_path / "p.html", shots="5", draws=20, probes="k-nn"
    )
    said = capsys.readouterr().out
    assert said.startswith("ALARM: permuted labels score above chance: a, seed 0, k-nn")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert page.index('role="alert"') < page.index('class="lead"')


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots": "1,five"}, r"--shots: 'five' is no number of shots; expected 1, 2, ... or"),
        ({"shots": "0"}, "--shots: '0'"),
        ({"shots": "1,1"}, "--shots '1,1': '1' is there twice"),
        ({"probes": "rigde"}, r"--probes: no probe 'rigde' here; .*did you mean 'ridge'\?"),
        ({"probes": "mlp"}, "no probe 'mlp' here; expected some of nearest-mean"),
        ({"draws": 0}, "--draws 0: expected at least 1"),
        ({"seed": -1}, "--seed -1: expected at least 0"),
        ({"support": 1.0}, "--support 1: expected between 0 and 1"),
        ({"folds": "3"}, "--shots: --folds 3 learns from all clips of the other folds; give one"),
        ({"folds": "1", "shots": None, "draws": None}, "--folds 1: expected at least 2"),
        ({"folds": "recording", "shots": None, "draws": None}, "did you mean 'recordings'"),
        ({"primary": "wake"}, r"--primary 'wake': expected one of weak, .*did you mean 'weak'\?"),
    ],
)
def test_a_wrong_option_is_named(
    files: dict[str, str], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(files, **options)


def test_nothing_is_written_where_nothing_can_be_compared(
    files: dict[str, str], tmp_path: Path
) -> None:
    np.savez(tmp_path / "other.npz", clip=np.array(["x"]), features=np.ones((1, 2)))
    with pytest.raises(ManifestError, match="other: has features of no clip"):
        run({**files, "strong": str(tmp_path / "other.npz")}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def write_own(path: Path, *, gap: float, per_class: int = 6) -> str:
    """Write features that carry labels and recordings, five clips a recording."""
    clips = clip_names(per_class)
    np.savez(
        path,
        clip=np.array(clips),
        features=features_of(clips, gap=gap),
        label=np.array([CLASSES[class_of(clip)] for clip in clips]),
        recording=np.array([f"r{int(clip[5:]) // 5}" for clip in clips]),
    )
    return str(path)


def test_one_file_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_own(tmp_path / "mine.npz", gap=0.5)
    compare([file], probes="ridge", html=tmp_path / "p.html", out=tmp_path / "out")
    sentence, empty, size, *_ = capsys.readouterr().out.split("\n")
    assert re.fullmatch(
        r"mine has top-1 accuracy \d\d\.\d % \(\d+\.\d to \d+\.\d over recordings\) on 30 clips "
        r"of 5 classes, where chance is 20\.0 % and always the commonest class 20\.0 %, "
        r"by ridge.* in 6 folds of whole recordings; this does not show whether other features "
        r"serve better, or what the way it was trained is worth\.",
        sentence,
    )
    assert (empty, size) == (
        "", "1 source on 5 classes: 30 clips of 6 recordings, each scored in one of 6 folds"
    )  # fmt: skip
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert page.index(sentence) < page.index('id="figure-accuracies"') < page.index("<table")
    said = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert said["finding"] == sentence
    assert said["differences"] == []
    assert said["folds"]["number"] == said["folds"]["recordings"] == 6
    assert said["plan"]["draws"] is said["plan"]["support"] is None


def test_what_cannot_be_told_apart_is_not_called_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [write_own(tmp_path / f"{name}.npz", gap=0.5) for name in "ab"]
    other = Path(files[1])
    arrays = dict(np.load(other))
    arrays["features"] = arrays["features"] + 0.3 * features_of(clip_names(6), gap=0.0, seed=9)
    np.savez(other, **arrays)
    compare(files, probes="ridge")
    sentence = capsys.readouterr().out.split("\n")[0]
    assert re.search(
        r"classes, b and a cannot be told apart, .* points \(.* over recordings, p = ", sentence
    )
    assert sentence.endswith("; this does not show what the way they were trained is worth.")


def test_p_is_printed_as_far_as_it_means_something() -> None:
    assert [p_words(p) for p in (1.0, 0.0423, 0.00123, 0.00099)] == [
        *("p = 1", "p = 0.042", "p = 0.0012", "p < 0.001")
    ]


def test_a_probe_that_fails_on_one_source_is_a_row_that_says_so(
    files: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Of features that do not vary, the start is the minimum; of the others it is not.
    monkeypatch.setattr(softmax_regression, "MAX_STEPS", 1)
    flat = tmp_path / "flat.npz"
    np.savez(flat, clip=np.array(CLIPS), features=np.ones((len(CLIPS), 4), np.float32))
    out = tmp_path / "out"
    compare(
        [f"flat={flat}", f"weak={files['weak']}"],
        Path(files["labels"]),
        shots="1,all",
        draws=20,
        probes="ridge,logistic-regression",
        out=out,
    )
    said = capsys.readouterr().out
    _, ridge, logistic = re.split(r"^(?:ridge|logistic-regression) .*$", said, flags=re.M)
    assert "no result" not in ridge
    table, notes = logistic.split("note:", 1)
    lines = [line.split("  ")[0] for line in table.split("\n") if "no result" in line]
    assert lines == ["weak", "weak - flat", "permuted labels, weak"]
    assert re.search(
        r"weak, seed 0: no result of logistic-regression at 1, .*: .* did not converge", notes
    )
    assert "corrected by Holm over all 4 differences in top-1" in notes

    rows = read_rows(out / "results.jsonl")
    failed = [row for row in rows if row.problem is not None]
    assert {(row.source, row.probe) for row in failed} == {("weak", "logistic-regression")}
    assert len(failed) == 2 * 2 + 2 * 2 + 1  # values, differences, permuted labels
    assert all(row.value is None for row in failed)
    assert {row.problem is None for row in rows if row.source == "flat"} == {True}
    found = json.loads((out / "comparison.json").read_text(encoding="utf-8"))["differences"]
    broken = [each for each in found if each["problem"] is not None]
    assert len(broken) == 4
    assert all(each["value"] is each["p"] is each["p-holm"] is None for each in broken)
    page = (out / "comparison.html").read_text(encoding="utf-8")
    assert page.count("no result") == 2 + 2 + 1 + page.count(": no result of")
    assert "did not converge" in page
    assert "no result" in (out / "comparison.tex").read_text(encoding="utf-8")


def test_seeds_of_which_one_fails_are_not_compared_as_if_there_were_fewer(
    files: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(softmax_regression, "MAX_STEPS", 1)
    same = [tmp_path / f"flat{index}.npz" for index in range(3)]
    for path in same:
        np.savez(path, clip=np.array(CLIPS), features=np.ones((len(CLIPS), 16), np.float32))
    compare(
        [f"a={same[0]},{same[1]}", f"b={same[2]},{files['weak']}"],
        Path(files["labels"]),
        shots="1",
        draws=20,
        probes="logistic-regression",
        as_json=True,
    )
    said = json.loads(capsys.readouterr().out)
    (top, _) = said["differences"]
    assert (top["seed"], top["value"], top["p"], top["p-holm"]) == (None, None, None, None)
    assert top["problem"].startswith("b, seed 1: logistic regression")
    (first,) = (
        row
        for row in said["rows"]
        if row["versus"] == "a" and row["seed"] == 0 and row["metric"] == "top-1"
    )
    assert first["value"] == 0.0

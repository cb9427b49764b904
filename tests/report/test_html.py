from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Protocol

import pytest

from taskgrain.errors import ResultError
from taskgrain.report.html import script_hash, write_report
from taskgrain.results import ResultRow

HOSTILE = "<script>alert(1)</script>"
ODD_NAMES = (
    HOSTILE,
    '"><img src=x onerror=alert(1)>',
    "</style></svg><b>",
    "$x_1$ {{ 7 * 7 }} {% raw %}",
    "зебра 斑马 🦓 \u202eabc\u2028\x07",
    "\ud800",
)


class Run(Protocol):
    root: Path
    study: str
    sources: tuple[tuple[str, str | None, str | None], ...]
    rows: list[ResultRow]
    curves: list[dict[str, object]]
    ledger: list[dict[str, object]]
    provenance: dict[str, object]
    examples: list[dict[str, object]]

    def write(self) -> Path: ...


class Page(HTMLParser):
    """Collects every element with its attributes, and the text outside of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(run: Run) -> Page:
    return Page(write_report(run.write()).read_text(encoding="utf-8"))


def test_every_number_of_the_page_is_a_number_of_the_run(complete: Run, report_text: str) -> None:
    page = Page(report_text)
    rows = [(row.value, row.low, row.high, row.p) for row in complete.rows]
    known = {number for row in rows for number in row if number is not None}
    shares = {
        share
        for point in complete.curves
        for share in dict(point["shares"] or {}).values()  # type: ignore[call-overload]
    }
    seen = 0
    for _, attributes in page.elements:
        allowed = shares if attributes.get("data-origin") == "curves" else known
        for name in ("data-value", "data-low", "data-high"):
            if (number := attributes.get(name)) is not None:
                assert float(number) in allowed
                seen += 1
    assert seen > 500


def test_every_transfer_row_of_the_run_stands_in_the_page(complete: Run, report_text: str) -> None:
    values = {attributes.get("data-value") for _, attributes in Page(report_text).elements}
    shown = {float(value) for value in values if value is not None}
    main = [row for row in complete.rows if row.metric == "mean-per-class"]
    assert len(main) > 100
    assert {row.value for row in main} <= shown


def test_the_page_loads_nothing_from_elsewhere(report_text: str) -> None:
    page = Page(report_text)
    links = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "poster", "data", "action")
    ]
    assert len(links) > 10
    assert all(link is not None and link.startswith(("data:", "#")) for link in links)
    assert all(link.startswith("#") for link in re.findall(r"url\(['\"]?([^)]*)", report_text))
    assert "@import" not in report_text
    assert not page.named("link")


def test_the_policy_lets_only_this_script_run(report_text: str) -> None:
    (policy,) = (
        meta["content"] for meta in Page(report_text).named("meta") if "http-equiv" in meta
    )
    assert policy is not None
    (script,) = re.findall(r"<script>(.*?)</script>", report_text, flags=re.DOTALL)
    assert f"script-src '{script_hash(script)}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


@pytest.mark.slow
def test_names_from_users_are_shown_and_never_run(complete: Run) -> None:
    renamed = dict(zip(("action-groups", "categories"), ODD_NAMES, strict=False))
    complete.rows = [
        replace(
            row,
            source=renamed.get(row.source or "", row.source),
            versus=renamed.get(row.versus or "", row.versus),
        )
        for row in complete.rows
    ]
    complete.study = complete.study.replace("How fine should labels be?", HOSTILE)
    complete.provenance = {"command": ["taskgrain", *ODD_NAMES[:-1]], "commit": HOSTILE}
    complete.ledger = [
        {"clip": name, "dataset": name, "split": "train", "problem": name}
        for name in ODD_NAMES[:-1]
    ]
    for entry, name in zip(complete.examples * 2, ODD_NAMES[:-1], strict=False):
        entry["category"] = entry["caption"] = entry["dataset"] = name
        entry["predictions"] = [
            {
                "source": name,
                "seed": 0,
                "level": name,
                "classes": [{"name": name, "probability": 0.5}],
                "caption": name,
            }
        ]
    page = page_of(complete)
    assert len(page.named("script")) == 1
    assert not page.named("img")
    assert not any(name.startswith("on") for _, found in page.elements for name in found)
    assert HOSTILE in page.text
    assert "$x_1$ {{ 7 * 7 }} {% raw %}" in page.text


@pytest.mark.slow
def test_a_lone_surrogate_and_control_characters_do_not_stop_the_report(complete: Run) -> None:
    folder = complete.write()
    odd = {"clip": ODD_NAMES[-1], "category": "a\x00b", "caption": "\x1b[0m"}
    examples = [{**odd, "dataset": "kitchenware", "file": "1.webm", "predictions": []}]
    (folder / "examples" / "examples.json").write_text(json.dumps(examples), encoding="ascii")
    assert "a\N{REPLACEMENT CHARACTER}b" in write_report(folder).read_text(encoding="utf-8")


@pytest.mark.slow
def test_equal_runs_give_equal_bytes(complete: Run, tmp_path: Path) -> None:
    first = write_report(complete.write())
    before = {path: path.read_bytes() for path in _written(first.parent)}
    assert len(before) > 8
    write_report(first.parent)
    assert {path: path.read_bytes() for path in _written(first.parent)} == before
    assert not list(first.parent.rglob("*.partial"))


def _written(folder: Path) -> list[Path]:
    patterns = ("report.html", "tables/*", "figures/*")
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def test_a_run_with_no_rows_and_no_other_file_still_gives_a_page(minimal: Run) -> None:
    folder = minimal.write()
    (folder / "study.toml").unlink()
    html = write_report(folder).read_text(encoding="utf-8")
    for said in (
        "no primary endpoint",
        "no transfer results",
        "no source validation scores",
        "no learning curves",
        "no example clips",
        "no control",
        "no ledger",
        "no study.toml",
    ):
        assert said in html


def test_a_single_row_gives_a_page(minimal: Run, difference: Callable[..., ResultRow]) -> None:
    minimal.rows = [difference(0.05)]
    page = page_of(minimal)
    assert "transfer better" in page.text
    assert "The run is unfinished" in page.text


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"results\.jsonl"):
        write_report(tmp_path)


def test_a_page_with_three_clips_stays_below_a_megabyte(report_text: str) -> None:
    assert len(report_text.encode()) < 1_000_000


def test_clips_are_inside_the_page_muted_and_described(report_text: str) -> None:
    videos = Page(report_text).named("video")
    assert len(videos) == 3
    for video in videos:
        assert (video["src"] or "").startswith("data:video/webm;base64,")
        assert {"muted", "loop", "autoplay", "playsinline", "controls"} <= set(video)
        assert video["aria-label"]


def test_tables_and_figures_tell_readers_without_eyes_what_they_are(report_text: str) -> None:
    page = Page(report_text)
    tables = page.named("table")
    captions = page.named("caption")
    assert len(tables) == len(captions) == 5
    assert all(header.get("scope") for header in page.named("th"))
    pictures = [found for found in page.named("div") if found.get("role") == "img"]
    assert len(pictures) == 3
    assert all(found["aria-label"] for found in pictures)


def test_ids_are_unique_over_all_figures_of_the_page(report_text: str) -> None:
    ids = [found["id"] for _, found in Page(report_text).elements if "id" in found]
    assert len(ids) > 50
    assert len(set(ids)) == len(ids)


def test_the_alignment_of_kitchenware_is_stated_only_for_that_world(minimal: Run) -> None:
    assert "An aligned target" in page_of(minimal).text
    assert "in another look" not in page_of(minimal).text
    both = '\n[[targets]]\nname = "elsewhere"\nworld = "kitchenware-far"\n'
    alone = minimal.study
    minimal.study += both
    assert "in another look" in page_of(minimal).text
    minimal.study = alone
    minimal.study = minimal.study.replace('world = "kitchenware"', 'root = "my-clips"')
    assert "An aligned target" not in page_of(minimal).text


@pytest.mark.slow
def test_failed_clips_are_announced_at_the_top_and_listed(complete: Run) -> None:
    complete.rows[-1] = replace(complete.rows[-1], failed=2)
    complete.ledger = [
        {"clip": "k-9", "dataset": "kitchenware", "split": "validation", "problem": "no frame"}
    ]
    text = page_of(complete).text
    assert text.index("up to 2 clips of one measurement failed") < text.index("Ladder")
    assert "k-9" in text


@pytest.mark.slow
def test_an_alarm_is_the_first_thing_under_the_title(
    complete: Run, row: Callable[..., ResultRow]
) -> None:
    assert "Alarm." not in page_of(complete).text
    leak = {"control": "permuted-labels", "interval": "draws", "p": 1e-9}
    complete.rows = [*complete.rows, row(0.4, **leak)]
    complete.ledger = [{"clip": "k-9", "dataset": "a", "split": "train", "problem": "no frame"}]
    page = page_of(complete)
    _, _, below = page.text.partition("study made-up")
    assert " ".join(below.split()).startswith(
        "How fine should labels be? Alarm. The control with shuffled target labels scores above "
    )
    tags = [tag for tag, _ in page.elements]
    following = page.elements[tags.index("h1") + 1][1]
    assert following == {"class": "warning alarm", "role": "alert"}
    assert page.text.index("Alarm.") < page.text.index("Not every clip was whole")
    assert page.text.index("Not every clip was whole") < page.text.index("Within one drawn world")


@pytest.mark.slow
def test_what_a_study_may_add_stands_in_the_page_with_the_rows_numbers(
    complete: Run, row: Callable[..., ResultRow]
) -> None:
    over = {"seed": None, "interval": "seeds", "p": 0.0123, "p_holm": 0.0246}
    own = {"target": "source-validation", "readout": None, "shots": None, "draws": None}
    added = [
        row(0.0321, versus="action-groups", **over),
        row(0.0432, versus="action-groups", metric="detectable-difference", width=None, seed=None),
        row(0.0543, source=None, metric="trend", width=None),
        row(0.6543, metric="5-way-accuracy", interval="episodes"),
        row(0.3654, readout="channels-mean"),
        row(0.2765, **own, probe="linear", metric="categories-linear"),
        row(0.1876, **own, probe="decoder", metric="bleu-4", control="blind-decoder"),
    ]
    complete.rows = [*complete.rows, *added]
    folder = complete.write()
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    shown = {found["data-value"] for _, found in page.elements if "data-value" in found}
    for made in added:
        assert str(made.value) in shown, made.metric
    assert {"0.0123", "0.0246"} <= shown
    tables = {path.stem for path in (folder / "tables").glob("*.tex")}
    assert {"endpoints", "trend", "readouts", "grains", "captions"} <= tables
    assert "episodes-5-way-logistic-regression" in tables


def test_sources_of_several_encoders_are_not_said_to_have_one(minimal: Run) -> None:
    assert "trained the same encoder on the same clips" in page_of(minimal).text
    minimal.study += (
        '[[sources]]\nname = "other"\nclassify = "category"\nencoder = "x"\n[encoders.x]\n'
    )
    text = page_of(minimal).text
    assert "trained the same encoder" not in text
    assert "they differ in their encoders" in text
    assert "frozen as they came" not in text
    minimal.study += '[[sources]]\nname = "published"\nencoder = "published"\n'
    text = page_of(minimal).text
    assert "Not so published: frozen as they came" in text
    assert "Does a finer grain transfer better?" not in text


def test_nothing_is_claimed_of_networks_from_elsewhere_in_a_drawn_world(minimal: Run) -> None:
    said = "Nothing is claimed of them: they learned from photographs or films"
    assert said not in page_of(minimal).text
    minimal.study += '[[sources]]\nname = "published"\nencoder = "published"\n'
    assert said in page_of(minimal).text
    minimal.study = minimal.study.replace('world = "kitchenware"', 'root = "clips"')
    assert said not in page_of(minimal).text


@pytest.mark.slow
def test_a_run_of_two_kinds_of_processor_says_so(complete: Run) -> None:
    kinds = ["oneDNN Intel AVX2", "oneDNN Intel AVX-512"]
    complete.provenance = {"same_bits": {"processors": kinds[:1]}}
    assert "kinds of processor" not in write_report(complete.write()).read_text("utf-8")
    complete.provenance = {"same_bits": {"processors": kinds}}
    text = write_report(complete.write()).read_text("utf-8")
    assert "computed on 2 kinds of processor (oneDNN Intel AVX2; oneDNN Intel AVX-512)" in text


@pytest.mark.slow
def test_a_failed_probe_is_shown_with_its_reason_and_never_as_a_number(
    complete: Run, failed_row: Callable[..., ResultRow]
) -> None:
    lost = {"source": "categories", "target": "kitchenware", "probe": "logistic-regression"}
    empty = {"value": None, "interval": None, "low": None, "high": None, "p": None}
    complete.rows = [
        replace(row, **empty, problem="<b>it broke</b>")  # type: ignore[arg-type]
        if all(getattr(row, name) == value for name, value in lost.items()) and not row.control
        else row
        for row in complete.rows
    ]
    page = page_of(complete)
    assert "No result: the probe failed at the primary endpoint" in page.text
    assert (
        "A probe failed, so that there is no result of: categories on kitchenware, 1-shot "
        "logistic regression; categories on kitchenware, 5-shot" in page.text
    )
    assert "<b>it broke</b>" in page.text
    table = (complete.root / "tables" / "transfer-logistic-regression.csv").read_text()
    line = next(line for line in csv.reader(table.split("\n")) if line[1:2] == ["categories"])
    assert line[2:14] == ["no result", "", ""] * 4
    assert line[14] != "no result"


def test_a_probe_that_failed_everywhere_keeps_its_table(
    complete: Run,
) -> None:
    empty = {"value": None, "interval": None, "low": None, "high": None, "p": None}
    complete.rows = [
        replace(row, **empty, problem="it broke")  # type: ignore[arg-type]
        if row.probe == "logistic-regression"
        else row
        for row in complete.rows
    ]
    page_of(complete)
    table = (complete.root / "tables" / "transfer-logistic-regression.csv").read_text()
    controls = [row for row in complete.rows if row.control and row.problem]
    assert len(controls) > 12
    assert table.count("no result") == 12 * (6 + 5) + len(controls)

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np
import pytest

from taskgrain.config.learning import Source
from taskgrain.names import Control
from taskgrain.report.html import write_report
from taskgrain.report.lookup import Lookup
from taskgrain.report.run_folder import RunFolder, read_run_folder
from taskgrain.results import ResultRow, Shots, write_rows

LADDER = (
    ("action-groups", "action-group", None),
    ("categories", "category", None),
    ("captions-simplified", None, "simplified"),
    ("captions-full", None, "full"),
    ("joint-simplified", "category", "simplified"),
    ("joint-full", "category", "full"),
)
TARGETS = {"kitchenware": 13, "kitchenware/motion": 3, "kitchenware/object": 4}
SHOTS: tuple[Shots, ...] = (1, 5, 10, "all")
PROBES = ("nearest-mean", "logistic-regression")
STUDY = """
name = "made-up"
question = "How fine should labels be?"
seeds = [0]
[data]
world = "tabletop"
train = 3000
[train]
epochs = 10
[[targets]]
name = "kitchenware"
world = "kitchenware"
factors = ["motion", "object"]
[primary]
source = "categories"
versus = "action-groups"
target = "kitchenware"
probe = "logistic-regression"
shots = 5
metric = "mean-per-class"
"""
READOUTS = '[transfer]\nreadouts = ["lstm-mean", "channels-mean", "lstm-last"]\n'
PUBLISHED = '[encoders.published]\nnetwork = "torchvision"\nmodel = "resnet18"\n'
"""A network that sources without labels are read from."""


COMMON: dict[str, object] = {
    "study": "made-up",
    "source": "categories",
    "seed": 0,
    "target": "kitchenware",
    "probe": "logistic-regression",
    "readout": "lstm-mean",
    "shots": 5,
    "metric": "mean-per-class",
    "interval": "clips",
    "n": 1105,
    "failed": 0,
    "truncated": 0,
    "draws": 50,
}


def row(value: float, **columns: object) -> ResultRow:
    """Make a row; its interval reaches 0.03 to either side unless `width` says otherwise."""
    width = columns.pop("width", 0.03)
    bounds: dict[str, object] = {"interval": None}
    if isinstance(width, float):
        bounds = {"low": value - width, "high": value + width}
    return ResultRow(**{**COMMON, "value": value, **bounds, **columns})  # type: ignore[arg-type]


def failed_row(**columns: object) -> ResultRow:
    """Make a row of a probe that failed."""
    empty = {"value": None, "interval": None, "problem": "categories, seed 0: <b>it broke</b>"}
    return ResultRow(**{**COMMON, **empty, **columns})  # type: ignore[arg-type]


def difference(value: float, **columns: object) -> ResultRow:
    return row(value, **{"versus": "action-groups", **columns})


def control(name: Control, value: float, **columns: object) -> ResultRow:
    return row(value, **{"source": None, "seed": None, "control": name, **columns})


def full_rows(randomness: random.Random) -> list[ResultRow]:
    rows: list[ResultRow] = []
    coarsest: dict[tuple[str, str, Shots], float] = {}
    for position, (source, level, form) in enumerate(LADDER):
        rows += _source_rows(randomness, source, level, form)
        for target, ways in TARGETS.items():
            for probe in PROBES:
                for place, shots in enumerate(SHOTS):
                    gain = 0.025 * (1 - 1 / ways) * place
                    value = 1 / ways + 0.1 + 0.02 * position + gain + randomness.uniform(0, 0.05)
                    where: dict[str, object] = {"target": target, "probe": probe, "shots": shots}
                    rows.append(row(value, source=source, **where))
                    rows.append(row(value, source=source, metric="top-1", **where))
                    coarsest.setdefault((target, probe, shots), value)
                    if position:
                        delta = value - coarsest[target, probe, shots]
                        rows.append(difference(delta, source=source, **where))
    for target, ways in TARGETS.items():
        rows += _control_rows(randomness, target, ways)
    return rows


def _source_rows(
    randomness: random.Random, source: str, level: str | None, form: str | None
) -> list[ResultRow]:
    own: dict[str, object] = {
        "source": source,
        "target": "source-validation",
        "shots": None,
        "draws": None,
    }
    head = {**own, "probe": "head", "readout": None}
    decoder = {**own, "probe": "decoder", "readout": None}
    bits = 3.4 if level == "action-group" else 6.71
    rows = [row(bits, width=None, **{**head, "probe": None}, metric="entropy-bits")]
    if level is not None:
        rows.append(row(randomness.uniform(0.5, 0.7), **head, metric="top-1"))
        rows.append(row(randomness.uniform(0.7, 0.8), **head, metric="group-accuracy"))
    if form is not None:
        rows.append(row(randomness.uniform(0.1, 0.2), **decoder, metric="exact-match"))
        rows.append(row(randomness.uniform(0.5, 0.6), **decoder, metric="template-accuracy"))
        rows.append(row(randomness.uniform(0.3, 0.4), **decoder, metric="object-accuracy"))
        rows.append(row(randomness.uniform(0.0, 0.02), **decoder, metric="unknown-rate"))
    part = decoder if level is None else head
    gain = randomness.uniform(-0.005, 0.03)
    return [*rows, row(gain, width=None, **part, metric="gain-last-epoch")]


def _control_rows(randomness: random.Random, target: str, ways: int) -> list[ResultRow]:
    free: dict[str, object] = {
        "target": target,
        "probe": None,
        "readout": None,
        "shots": None,
        "draws": None,
    }
    rows = [
        control("chance", 1 / ways, width=None, metric="top-1", **free),
        control("majority", 1 / ways + 0.002, width=None, **free),
    ]
    for probe in PROBES:
        for shots in SHOTS:
            where: dict[str, object] = {"target": target, "probe": probe, "shots": shots}
            jitter = randomness.uniform(0, 0.03)
            rows.append(control("pixels", 1 / ways + 0.03 + jitter, **where, readout="pixels"))
            rows.append(control("motion-energy", 1 / ways + 0.06 + jitter, **where))
            for readout in ("lstm-mean", "channels-mean"):
                value = 1 / ways + 0.08 + jitter
                rows.append(control("random-encoder", value, **where, readout=readout, seed=0))
            if shots != "all":
                shuffled = control("permuted-labels", 1 / ways + 0.001, **where, p=0.41, seed=0)
                shuffled = replace(shuffled, metric="top-1", interval="draws")
                rows.append(replace(shuffled, source="categories"))
    return rows


def webm(path: Path, *, hue: int) -> None:
    with av.open(str(path), "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=12)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"crf": "50", "b": "0"}
        for step in range(18):
            picture = np.full((240, 320, 3), (205, 195, 180), dtype=np.uint8)
            picture[100:160, 20 + 12 * step : 80 + 12 * step] = (hue, 90, 255 - hue)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def example(clip: str, dataset: str, category: str, caption: str) -> dict[str, object]:
    classes = [
        {"name": category, "probability": 0.62},
        {"name": "Pretending to put something next to something", "probability": 0.21},
        {"name": "Putting something next to something", "probability": 0.06},
    ]
    said = caption.replace("a ", "the ").replace("left", "right")
    predictions = [
        {
            "source": source,
            "seed": 0,
            "level": level or "",
            "classes": classes if level == "category" else classes[1:] if level else [],
            "caption": None if form is None else caption if form == "full" else said,
        }
        for source, level, form in LADDER
    ]
    return {
        "clip": clip,
        "dataset": dataset,
        "file": f"{clip}.webm",
        "category": category,
        "caption": caption,
        "predictions": predictions,
    }


@dataclass(slots=True)
class RunMaker:
    """Writes run folders; every part can be left out or replaced."""

    root: Path
    study: str = STUDY
    sources: tuple[tuple[str, str | None, str | None], ...] = LADDER
    rows: list[ResultRow] = field(default_factory=list)
    curves: list[dict[str, object]] = field(default_factory=list)
    ledger: list[dict[str, object]] = field(default_factory=list)
    provenance: dict[str, object] = field(default_factory=dict)
    examples: list[dict[str, object]] = field(default_factory=list)

    def write(self) -> Path:
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "study.toml").write_text(self.study + self._sources(), encoding="utf-8")
        write_rows(self.root / "results.jsonl", self.rows)
        self._lines("curves.jsonl", self.curves)
        self._lines("ledger.jsonl", self.ledger)
        if self.provenance:
            text = json.dumps(self.provenance, ensure_ascii=False)
            (self.root / "provenance.json").write_text(text, encoding="utf-8")
        if self.examples:
            self._examples()
        return self.root

    def _sources(self) -> str:
        blocks = []
        for name, level, form in self.sources:
            block = f"\n[[sources]]\nname = {json.dumps(name, ensure_ascii=False)}\n"
            block += f'classify = "{level}"\n' if level else ""
            block += f'caption = "{form}"\n' if form else ""
            block += "" if level or form else 'encoder = "published"\n'
            blocks.append(block + ("lambda = 0.5\n" if level and form else ""))
        text = "".join(blocks)
        return text + (PUBLISHED if 'encoder = "published"' in self.study + text else "")

    def _lines(self, name: str, lines: list[dict[str, object]]) -> None:
        if lines:
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            (self.root / name).write_text(text, encoding="utf-8")

    def _examples(self) -> None:
        folder = self.root / "examples"
        folder.mkdir(exist_ok=True)
        for position, entry in enumerate(self.examples):
            webm(folder / str(entry["file"]), hue=40 * position % 255)
        text = json.dumps(self.examples, ensure_ascii=False)
        (folder / "examples.json").write_text(text, encoding="utf-8")


def full_curves(randomness: random.Random) -> list[dict[str, object]]:
    curves: list[dict[str, object]] = []
    for source, level, form in LADDER:
        for epoch in range(1, 11):
            share = 0.3 + 0.02 * epoch
            joint = level is not None and form is not None
            learned = 1 - 0.8**epoch
            validation: dict[str, float] = {}
            if level is not None:
                validation["top-1"] = 0.65 * learned + randomness.uniform(0, 0.02)
            if form is not None:
                validation["exact-match"] = 0.2 * learned + randomness.uniform(0, 0.01)
            curves.append(
                {
                    "source": source,
                    "seed": 0,
                    "epoch": epoch,
                    "clip_passes": 3000 * epoch,
                    "terms": {"classification": None, "captioning": None},
                    "shares": {"classification": share, "captioning": 1 - share} if joint else None,
                    "validation": validation,
                }
            )
    return curves


PROVENANCE: dict[str, object] = {
    "versions": {"python": "3.11.7", "torch": "2.13.0", "taskgrain": "0.1.0"},
    "commit": "0123abc",
    "command": "taskgrain study made-up",
    "machine": {"cores": 2, "memory_gb": 8},
    "precision": "float32",
}


def complete_run(root: Path) -> RunMaker:
    randomness = random.Random(0)
    pushing = ("Pushing something from left to right", "Pushing a green bottle from left to right")
    fork = ("Pretending to use a fork", "Pretending to use a fork on a table")
    return RunMaker(
        root,
        rows=full_rows(randomness),
        curves=full_curves(randomness),
        provenance=PROVENANCE,
        examples=[
            example("tabletop-7", "source", *pushing),
            example("tabletop-19", "source", *pushing),
            example("kitchenware-3", "kitchenware", *fork),
        ],
    )


@pytest.fixture(name="row")
def row_fixture() -> Callable[..., ResultRow]:
    return row


@pytest.fixture(name="difference")
def difference_fixture() -> Callable[..., ResultRow]:
    return difference


@pytest.fixture(name="failed_row")
def failed_row_fixture() -> Callable[..., ResultRow]:
    return failed_row


@pytest.fixture(name="control")
def control_fixture() -> Callable[..., ResultRow]:
    return control


@pytest.fixture
def make_lookup(tmp_path: Path) -> Callable[..., Lookup]:
    def make(*rows: ResultRow, study: str | None = STUDY) -> Lookup:
        if study is None:  # a run folder without a study file
            return Lookup(RunFolder(None, rows))
        folder = RunMaker(tmp_path / "lookup", study=study, rows=list(rows)).write()
        return Lookup(replace(read_run_folder(folder), rows=rows))

    return make


def with_sources(lookup: Lookup, *sources: Source) -> Lookup:
    """Return the same rows under a study of other sources."""
    assert lookup.run.study is not None
    study = lookup.run.study.model_copy(update={"sources": sources})
    return Lookup(replace(lookup.run, study=study))


@pytest.fixture
def complete(tmp_path: Path) -> RunMaker:
    return complete_run(tmp_path / "a complete run")


@pytest.fixture
def minimal(tmp_path: Path) -> RunMaker:
    return RunMaker(tmp_path / "minimal")


@pytest.fixture(scope="session")
def report_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = complete_run(tmp_path_factory.mktemp("report") / "a run").write()
    return write_report(folder).read_text(encoding="utf-8")

"""What recipes teach encoders of their own labels: a table of runs of `taskgrain study recipe`.

Every score of a source is written as (score - floor) / (1 - floor): 0 for what needs no learning, 1
for everything right. Classes are judged by top-1, captions by template, noun and, in full, colour;
the floor is the highest of chance, the commonest class and a linear read-out of motion energy, or
of the caption floors. A source is the mean of its scores, a recipe the mean of its sources and
seeds: the criterion by which the compact recipe was chosen.

    python -m benchmarks.recipe_table RUN ...
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.learned import FLOORS, SOURCE_VALIDATION
from taskgrain.results import ResultRow, read_rows
from taskgrain.study.caption_scores import SpokenTruth
from taskgrain.tabletop.shapes import PALETTE

CAPTION_FLOORS = ("commonest-word", "commonest-caption", "same-category")
METRICS = ("top-1", "template-accuracy", "noun-accuracy")


@dataclass(frozen=True, slots=True)
class Learned:
    """One score of a source and seed, and what scores without learning; shares, 0 to 1."""

    source: str
    what: str
    value: float
    floor: float

    @property
    def share(self) -> float:
        return (self.value - self.floor) / (1 - self.floor)


def learned(run: Path) -> list[Learned]:
    """Read what every source and seed of a run learned."""
    study = load_study(str(run / "study.toml"))
    rows = [row for row in read_rows(run / "results.jsonl") if _is_own(row)]
    found = [
        Learned(row.source or "", row.metric, row.value or 0.0, _floor(row, rows))
        for row in rows
        if row.control is None and row.metric in METRICS and row.seed is not None
    ]
    return found + list(_colours(run, study))


def _is_own(row: ResultRow) -> bool:
    return row.target == SOURCE_VALIDATION and row.passes is None and row.value is not None


def _floor(row: ResultRow, rows: Iterable[ResultRow]) -> float:
    names = CAPTION_FLOORS if row.metric == "noun-accuracy" else FLOORS
    return max(
        each.value or 0.0
        for each in rows
        if (each.source, each.metric) == (row.source, row.metric) and each.control in names
    )


def _colours(run: Path, study: Study) -> Iterable[Learned]:
    """Score the colours of full captions: of the slots that have one, those said in their place."""
    manifest = read_manifest(study.data.root or run / "data" / "source")
    records = manifest.split(Split.VALIDATION)
    commonest = _commonest_colour(manifest)
    for source in study.sources:
        for seed in study.seeds if source.caption == "full" else ():
            path = run / "captions" / f"{source.name}-seed-{seed}.json"
            said = {row["id"]: row["caption"] for row in json.loads(path.read_text("utf-8"))}
            pairs = list(_pairs(said, records, SpokenTruth("full", manifest)))
            yield Learned(
                source.name,
                "colour",
                fmean(said == true for said, true in pairs),
                fmean(true == commonest for _, true in pairs),
            )


def _pairs(
    said: Mapping[str, str], records: Sequence[ClipRecord], truth: SpokenTruth
) -> Iterable[tuple[str | None, str]]:
    for record in records:
        reading = truth.read(said[record.clip_id])
        objects = () if reading is None else reading.objects
        for slot, placeholder in enumerate(record.placeholders):
            true = colour_of(placeholder)
            if true is not None:
                yield colour_of(objects[slot]) if slot < len(objects) else None, true


def _commonest_colour(manifest: Manifest) -> str:
    counts = Counter(
        colour
        for record in manifest.split(Split.TRAIN)
        for colour in map(colour_of, record.placeholders)
        if colour is not None
    )
    return counts.most_common(1)[0][0]


def colour_of(phrase: str) -> str | None:
    """Return the first word of a phrase that is a colour of the embedded world."""
    return next((word for word in phrase.split() if word in PALETTE), None)


def criterion(scores: Sequence[Learned]) -> float:
    """Return the mean over sources of the mean share of each; 0 to 1 unless below the floors."""
    sources = dict.fromkeys(each.source for each in scores)
    return fmean(
        fmean(each.share for each in scores if each.source == source) for source in sources
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folder")
    for run in sorted(
        parser.parse_args().runs, key=lambda run: criterion(learned(run)), reverse=True
    ):
        scores = learned(run)
        print(f"{run.name}: criterion {criterion(scores):.3f}")
        for source, what in dict.fromkeys((each.source, each.what) for each in scores):
            own = [each for each in scores if (each.source, each.what) == (source, what)]
            value, floor = (100 * fmean(getattr(each, key) for each in own) for key in FIELDS)
            print(f"  {source:20} {what:18} {value:5.1f}  (floor {floor:.1f}, {len(own)} seeds)")


FIELDS = ("value", "floor")

if __name__ == "__main__":
    main()

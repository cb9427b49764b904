"""Write docs/evidence/README.md from the rows of the evidence: python docs/evidence/write_page.py

Every number of this study comes from `granularity/`, whose rows `recompute.py` recomputes; the
paper's numbers and one of development are quoted. Verdicts are those of the report
(`report.verdict.judge`), which had its rules before any number was known.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.config.testing import FamilyEndpoint
from taskgrain.names import (
    ALIGNMENT_GAIN,
    ALIGNMENT_GAIN_IF_SHOWN,
    PROBE_WORDS,
    SLOPE_OVER_TASKS,
    TASK_KINDS,
    mean_over_kind,
)
from taskgrain.report.lookup import Lookup
from taskgrain.report.run_folder import read_run_folder
from taskgrain.report.verdict import Verdict, judge, verdict_of
from taskgrain.results import BOTH, ResultRow, less_target
from taskgrain.statistics.alignment import kind_of

HERE = Path(__file__).parent
PAGE = HERE / "README.md"
OWN = "source-validation"
KINDS = {
    "named": "the finer labels name what is asked",
    "kind-named": "they name its kind, of other values",
    "unnamed": "they add nothing about it",
}


@dataclass(frozen=True)
class Evidence:
    """A folder that `taskgrain report RUN --evidence` wrote: its study and its rows."""

    study: Study
    rows: tuple[ResultRow, ...]
    lookup: Lookup  # the rows as the report reads them
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> Evidence:
        """Read the study file and the rows of an evidence folder."""
        with TemporaryDirectory() as laid_out:  # as a run folder, for the report's own reader
            run = Path(laid_out)
            rows = gzip.decompress((folder / "results.jsonl.gz").read_bytes())
            (run / "results.jsonl").write_bytes(rows)
            (run / "study.toml").write_bytes((folder / "study.toml").read_bytes())
            read = read_run_folder(run)
        return cls(load_study(str(folder / "study.toml")), read.rows, Lookup(read), folder)

    def find(self, **columns: object) -> ResultRow | None:
        """Find the first row with these columns; None where there is none."""
        rows = self.find_all(**columns)
        return rows[0] if rows else None

    def find_all(self, **columns: object) -> list[ResultRow]:
        """List the rows with these columns, in file order."""
        return [
            row
            for row in self.rows
            if all(getattr(row, name) == value for name, value in columns.items())
        ]

    def difference(
        self, source: str, versus: str, target: str, probe: str, metric: str
    ) -> ResultRow | None:
        """Find a difference over all seeds, or over tasks and seeds, by the primary's reading."""
        kind = "tasks" if metric.startswith(("mean-over-", "slope-")) else "seeds"
        at = self.study.primary
        columns = {"source": source, "versus": versus, "target": target, "probe": probe}
        return self.find(
            **columns, metric=metric, interval=kind, shots=at.shots, readout=at.readout
        )

    def endpoint(self, at: FamilyEndpoint) -> ResultRow | None:
        """Find the row of an endpoint over all seeds."""
        return self.find(
            source=at.source,
            versus=BOTH.join(at.each_versus),
            target=less_target(at.target, at.minus_target),
            probe=at.probe,
            shots=at.shots,
            readout=at.readout,
            metric=at.metric,
            interval="seeds",
        )


def main() -> int:
    """Write the page; 1 where the evidence is not there."""
    folder = HERE / "granularity"
    if not folder.is_dir():
        print(f"{folder.name}/ is not there: taskgrain report RUN --evidence {folder.name}")
        return 1
    PAGE.write_text(page(Evidence.read(folder)), encoding="utf-8")
    return 0


def page(evidence: Evidence) -> str:
    """Return the page, in Markdown."""
    sections = (
        headline,
        how_it_was_made,
        grain,
        joint,
        own_scores,
        kitchenware,
        chance,
        recomputing,
    )
    return "\n".join(line for section in sections for line in [*section(evidence), ""])


def headline(evidence: Evidence) -> Iterator[str]:
    """Yield the answer in one sentence, and what it rests on."""
    study, at = evidence.study, evidence.study.primary
    near = _of_primary(evidence, at.target, at.metric)
    far = _of_primary(evidence, f"{at.target}-far", at.metric)
    unnamed = _of_primary(evidence, "tasks", mean_over_kind("unnamed"))
    named = _of_primary(evidence, "tasks", mean_over_kind("named"))
    yield "# How fine should labels be? The evidence"
    yield ""
    yield (
        f"> In a drawn world ({_parameters(evidence):,} parameters, "
        f"{study.data.draw or study.data.train:,} clips, {len(study.seeds)} seeds, seal "
        f"{_seals(evidence)}), {at.source} in place of {at.versus} as labels changed "
        f"{at.shots}-shot accuracy by {_points(near)} points where the target asks for what the "
        f"finer labels name, by {_points(unnamed)} where it does not, by {_points(far)} in another "
        "look. Nothing was measured on Something-Something."
    )
    yield ""
    yield (
        f"- The first figure is `{at.target}`, the second the mean over the unnamed factor tasks, "
        f"the third `{at.target}-far`. Over the named factor tasks it is {_points(named)}."
    )
    yield "- Intervals are of 95 %, over encoder seeds; of factor tasks over tasks and seeds."


def how_it_was_made(evidence: Evidence) -> Iterator[str]:
    """Yield what was frozen, and when."""
    study = evidence.study
    seal = study.seal
    yield "## How it was made"
    yield ""
    if seal is not None:
        frozen = f"- Frozen in commit `{seal.commit[:12]}`: "
        yield frozen + "recipe, worlds, tasks, endpoints, thresholds."
    yield "- The study file is `granularity.toml`, committed before any target was drawn."
    yield f"- Encoder seeds, drawn from that commit: {', '.join(map(str, study.seeds))}."
    yield "- The clips of the sealed targets were drawn from the finished weights (`seal.json`)."
    yield (
        "- A first run, of 60,000 passes, was lost with its machine after 54 of 64 trainings, "
        "before its seal was opened: nobody saw a result of it. This study is smaller, so that it "
        "ends within hours."
    )
    yield (
        "- Near targets were added after the far one had given \N{MINUS SIGN}2.7 points in "
        "development (one seed, an older recipe)."
    )
    yield (
        f"- One primary endpoint and a family of {len(study.family)}, corrected together by Holm; "
        f"no difference means a 90 % interval within {study.margin:g} points. The verdict also "
        "needs the interval over seeds, draws, clips and classes together, where there is one."
    )


def grain(evidence: Evidence) -> Iterator[str]:
    """Yield RQ1: do finer labels give features that transfer better?"""
    at = evidence.study.primary
    yield "## RQ1: do finer labels give features that transfer better?"
    yield ""
    yield "The paper: finer source tasks give better features."
    yield ""
    yield f"Here, {at.source} minus {at.versus}, percentage points (95 % interval):"
    yield ""
    probes = list(dict.fromkeys(each.probe for each in evidence.study.endpoints))
    yield (
        "| target | kind, alignment gain | "
        + " | ".join(PROBE_WORDS[probe] for probe in probes)
        + " |"
    )
    yield "|---|---|" + "---|" * len(probes)
    for target, metric, words, kind in _targets(evidence):
        cells = [
            _points(evidence.difference(at.source, at.versus, target, probe, metric))
            for probe in probes
        ]
        yield f"| {words} | {kind} | " + " | ".join(cells) + " |"
    yield ""
    yield from _endpoints(evidence, joint_ones=False)
    yield ""
    yield f"Full captions minus categories, {PROBE_WORDS[at.probe]}:"
    yield ""
    yield "| target | kind, alignment gain | points |"
    yield "|---|---|---|"
    for target, metric, words, kind in _targets(evidence):
        pair = ("captions-full", "categories", target, at.probe, metric)
        row = evidence.difference(*pair)
        if row is not None:
            yield f"| {words} | {kind} | {_points(row)} |"
    yield ""
    yield (
        "What it does not show: other budgets (every source had "
        f"{evidence.study.train.passes_over(evidence.study.data.draw or 0):,} clip passes), other "
        "encoders, other worlds, and anything of real footage."
    )


def joint(evidence: Evidence) -> Iterator[str]:
    """Yield RQ2: is learning to classify and to caption together better than either alone?"""
    at = evidence.study.primary
    yield "## RQ2: does learning both together beat either alone?"
    yield ""
    yield "The paper: the joint task gives the best features."
    yield ""
    yield "A joint source is above both only if it is above each; p is the larger of the two."
    yield ""
    yield "| joint source | target | minus categories | minus its captions |"
    yield "|---|---|---|---|"
    for source, captions in _joint_sources(evidence):
        for target in ("novel", at.target, f"{at.target}-far"):
            cells = [
                _points(evidence.difference(source, versus, target, at.probe, at.metric))
                for versus in ("categories", captions)
            ]
            yield f"| {source} | {target} | " + " | ".join(cells) + " |"
    yield ""
    yield from _endpoints(evidence, joint_ones=True)
    yield ""
    yield (
        "What it does not show: equal cost. A pass of a joint source also trains a decoder; passes "
        "were equal, seconds were not."
    )


def own_scores(evidence: Evidence) -> Iterator[str]:
    """Yield RQ3: what does the grain do to classification and captioning themselves?"""
    columns = {
        "groups": (("top-1", "action-groups"), ("group-accuracy", None)),
        "categories": (("top-1", None),),
        "categories, floor": (("categories-floor", None),),
        "categories, linear": (("categories-linear", None),),
        "template": (("template-accuracy", None),),
        "noun": (("noun-accuracy", None),),
        "exact": (("exact-match", None),),
    }
    yield "## RQ3: what does the grain do to classification and captioning themselves?"
    yield ""
    yield (
        "The paper: 50.44 % of the 174 categories learned from categories, 41.7 % from groups "
        "(a perfect group prediction that answers each group's commonest category: 41.59 %)."
    )
    yield ""
    yield (
        "Here, validation clips of base categories, which chose nothing: the last weights are "
        "scored. Percent, mean of the seeds (standard deviation). The floor answers the commonest "
        "category of the predicted group; linear is a read-out of the frozen features."
    )
    yield ""
    yield "| source | " + " | ".join(columns) + " |"
    yield "|---|" + "---|" * len(columns)
    for source in evidence.study.sources:
        classifies_groups = source.classify == "action-group"
        cells = []
        for column, choices in columns.items():
            names = [metric for metric, _ in choices]
            if column == "groups":
                names = ["top-1"] if classifies_groups else ["group-accuracy"]
            if column == "categories" and classifies_groups:
                names = []
            cells.append(_mean(evidence, source.name, names))
        yield f"| {source.name} | " + " | ".join(cells) + " |"
    yield ""
    yield "What it does not show: how each source does at a plateau of its own."


def kitchenware(evidence: Evidence) -> Iterator[str]:
    """Yield RQ4: how do the features do on kitchenware, near and far, beside controls?"""
    at = evidence.study.primary
    yield "## RQ4: how do features transfer to kitchenware?"
    yield ""
    yield "The paper: 13 categories of 20bn-kitchenware, which cannot be had any more."
    yield ""
    yield (
        f"Here, drawn after its description: accuracy in percent, {at.shots} shots, "
        f"{PROBE_WORDS[at.probe]}."
    )
    yield ""
    yield f"| features | {at.target} | {at.target}-far |"
    yield "|---|---|---|"
    subjects: list[tuple[str | None, str | None]] = [
        *((source.name, None) for source in evidence.study.sources),
        *((None, name) for name in evidence.study.transfer.controls if name != "permuted-labels"),
        (None, "chance"),
    ]
    for source, control in subjects:
        cells = [
            _level(evidence, source, control, target) for target in (at.target, f"{at.target}-far")
        ]
        yield f"| {source or control} | " + " | ".join(cells) + " |"
    yield ""
    yield (
        "What it does not show: pretrained image networks. None was learned from drawn clips, and "
        "no claim is made against them here."
    )


def chance(evidence: Evidence) -> Iterator[str]:
    """Yield what chance does: twins, meaningless groups, and the parts of the variance."""
    at = evidence.study.primary
    yield "## What chance does"
    yield ""
    twins = [(each.name, each.twin_of) for each in evidence.study.sources if each.twin_of]
    for twin, own in twins:
        rows = [
            row
            for row in evidence.find_all(
                source=twin, versus=own, metric=at.metric, interval="seeds"
            )
            if row.readout == at.readout
        ]
        claimed = [row for row in rows if _is_claimed(evidence, row)]
        yield (
            f"- `{twin}` learned the labels of `{own}` from other first weights: {len(claimed)} of "
            f"{len(rows)} differences would have been claimed at .05, uncorrected. All are false."
        )
    regrouped = [each.name for each in evidence.study.sources if each.regrouped]
    for name in regrouped:
        row = evidence.difference(name, at.versus, at.target, at.probe, at.metric)
        yield (
            f"- `{name}`, groups of the same sizes without a meaning, minus `{at.versus}`: "
            f"{_points(row)} on {at.target}."
        )
    if twins or regrouped:
        yield ""
    if not twins:
        yield (
            "No source was learned twice from the same labels (A/A): how often this study claims "
            "what is not there was not counted."
        )
        yield ""
    if not regrouped:
        yield "No source learned groups without a meaning."
        yield ""
    yield "Variance of the primary difference, squared percentage points that one unit adds:"
    yield ""
    yield "| target | " + " | ".join(("part", "squared points", "units")) + " |"
    yield "|---|---|---|---|"
    for each in json.loads((evidence.folder / "components.json").read_text(encoding="utf-8")):
        if "/" in each["target"]:
            continue
        for part in each["parts"]:
            variance = f"{part['squared_points']:.2f}".replace("-", "\N{MINUS SIGN}")
            yield f"| {each['target']} | {part['name']} | {variance} | {part['units']} |"


def recomputing(evidence: Evidence) -> Iterator[str]:
    """Yield how to check this page."""
    yield "## Recompute it"
    yield ""
    yield "- `python docs/evidence/granularity/recompute.py` (numpy and scipy) recomputes the rows"
    yield "  from the answers to every clip, and fits one cell again from its features."
    yield "- `python docs/evidence/write_page.py` writes this page from the rows; a test does both."
    yield "- `taskgrain study docs/evidence/granularity.toml` at the frozen commit runs it anew."
    yield "- [The report](granularity/report.html) of the run has every table and figure."


def _targets(evidence: Evidence) -> Iterator[tuple[str, str, str, str]]:
    """Yield where the grains are compared: target, metric, its words, and its kind."""
    at = evidence.study.primary
    near, far = at.target, f"{at.target}-far"
    yield "novel", at.metric, "`novel`, categories that no source learned", _kind(evidence, "novel")
    yield near, at.metric, f"`{near}`, the source's look", _kind(evidence, near)
    yield far, at.metric, f"`{far}`, another look", _kind(evidence, far)
    yield less_target(near, far), at.metric, "near minus far", ""
    for kind in TASK_KINDS:
        yield "tasks", mean_over_kind(kind), f"factor tasks: {KINDS[kind]}", kind
    yield "tasks", SLOPE_OVER_TASKS, "factor tasks: for a unit of alignment gain", ""


def _kind(evidence: Evidence, target: str) -> str:
    """Return the kind of a target and its alignment gain, "named, .26"; means over the seeds."""
    at = evidence.study.primary
    gains = []
    for metric in (ALIGNMENT_GAIN, ALIGNMENT_GAIN_IF_SHOWN):
        row = evidence.find(
            source=at.source, versus=at.versus, target=target, metric=metric, seed=None
        )
        if row is None or row.value is None:
            return "not known"
        gains.append(row.value)
    return f"{kind_of(gains[0], gains[1])}, {gains[0]:.2f}"


def _endpoints(evidence: Evidence, *, joint_ones: bool) -> Iterator[str]:
    """Yield the verdict of each endpoint, of joint sources or of the others."""
    for each in evidence.study.endpoints:
        if each.source.startswith("joint") != joint_ones:
            continue
        row, judged = evidence.endpoint(each), judge(evidence.lookup, each)
        p = "not tested" if row is None or row.p_holm is None else f"p = {row.p_holm:.2g} (Holm)"
        yield (
            f"- {each.source} against {BOTH.join(each.each_versus)} on "
            f"{less_target(each.target, each.minus_target)}, {PROBE_WORDS[each.probe]}: "
            f"**{judged.verdict.value}**, {_points(row)}, {p}"
        )


def _joint_sources(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for each in evidence.study.sources:
        if each.classify is not None and each.caption is not None:
            yield each.name, each.name.replace("joint", "captions")


def _of_primary(evidence: Evidence, target: str, metric: str) -> ResultRow | None:
    at = evidence.study.primary
    return evidence.difference(at.source, at.versus, target, at.probe, metric)


def _is_claimed(evidence: Evidence, row: ResultRow) -> bool:
    """Whether a difference of twins alone would be claimed: its own p, not corrected."""
    verdict = verdict_of([row], margin=evidence.study.margin / 100, p_holm=row.p)
    return verdict in (Verdict.BETTER, Verdict.WORSE)


def _points(row: ResultRow | None) -> str:
    """Print a difference in percentage points with its interval: "+1.8 (+1.0 to +2.7)"."""
    if row is None or row.value is None:
        return "no result"
    if row.low is None or row.high is None:
        return f"{100 * row.value:+.1f}".replace("-", "\N{MINUS SIGN}")
    value, low, high = (100 * each for each in (row.value, row.low, row.high))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})".replace("-", "\N{MINUS SIGN}")


def _mean(evidence: Evidence, source: str, metrics: Sequence[str]) -> str:
    """Print the mean of a source's own scores over its seeds, and their standard deviation."""
    for metric in metrics:
        rows = evidence.find_all(source=source, target=OWN, metric=metric, control=None)
        values = [100 * row.value for row in rows if row.seed is not None and row.value is not None]
        if values:
            mean = sum(values) / len(values)
            squares = sum((value - mean) ** 2 for value in values)
            spread = (squares / max(1, len(values) - 1)) ** 0.5
            return f"{mean:.1f} ({spread:.1f})"
    return ""


def _level(evidence: Evidence, source: str | None, control: str | None, target: str) -> str:
    """Print an accuracy over all seeds with its interval; a control without seeds has none."""
    at = evidence.study.primary
    columns = {"source": source, "control": control, "target": target, "versus": None}
    found = [
        row
        for metric in (at.metric, "top-1")
        for row in evidence.find_all(**columns, metric=metric)
        if row.seed is None and row.probe in (at.probe, None) and row.shots in (at.shots, None)
    ]
    over_seeds = [row for row in found if row.interval == "seeds"]
    for row in (*over_seeds, *found):
        if row.value is not None:
            span = ""
            if row.interval == "seeds" and row.low is not None and row.high is not None:
                span = f" ({100 * row.low:.1f} to {100 * row.high:.1f})"
            return f"{100 * row.value:.1f}{span}".replace("-", "\N{MINUS SIGN}")
    return "no result"


def _parameters(evidence: Evidence) -> int:
    """Count the parameters of the encoder that every source trains."""
    from taskgrain.study.networks import drawn, encoder_from

    source = evidence.study.sources[0]
    encoder, _ = encoder_from(drawn(evidence.study.encoder_of(source)), 0)
    return sum(each.numel() for each in encoder.parameters())


def _seals(evidence: Evidence) -> str:
    """Return which of the study's seals this is: "1 of 1"."""
    seal, opened = evidence.folder / "seal.json", evidence.folder / "seals.jsonl"
    if not seal.is_file():
        return "none"
    number = int(json.loads(seal.read_text(encoding="utf-8"))["number"])
    lines = opened.read_text(encoding="utf-8").splitlines() if opened.is_file() else []
    return f"{number} of {max(number, sum(bool(line.strip()) for line in lines))}"


if __name__ == "__main__":
    sys.exit(main())

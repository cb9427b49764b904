"""A run folder as the report reads it: leniently, because a run may be unfinished or older.

Only results.jsonl has to be there. What else is absent reads as empty, and the page says so.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from taskgrain.errors import ResultError
from taskgrain.report.held_out import HeldOut, held_out_of
from taskgrain.report.lenient import (
    Json,
    as_mapping,
    as_mappings,
    as_number,
    as_sequence,
    numbers_of,
    text_of,
)
from taskgrain.report.origin import encoder_parameters, seal_words
from taskgrain.report.words import printable
from taskgrain.results import BOTH, ResultRow, less_target, read_rows, versus_each

EBML_MAGIC = b"\x1a\x45\xdf\xa3"  # the first bytes of every WebM file


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """One source of the study: which level it classifies, which caption form it says.

    `origin` is the encoder's name and the weights that it began with, each None where it is the
    study's own and new: sources of equal origin differ in what their labels say alone.
    """

    name: str
    classify: str | None = None
    caption: str | None = None
    classification_weight: float | None = None  # lambda
    origin: tuple[str | None, str | None] = (None, None)
    twin_of: str | None = None
    regrouped: bool = False

    @property
    def is_step(self) -> bool:
        """Whether it is a step of a ladder: it classifies a level, and is no control of another."""
        return self.kind == "classification" and self.twin_of is None and not self.regrouped

    @property
    def kind(self) -> str:
        """Return "classification", "captioning", "joint", or "frozen" where nothing is learned."""
        if self.classify and self.caption:
            return "joint"
        if not self.classify and not self.caption:
            return "frozen"
        return "captioning" if self.caption else "classification"


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """One target: an embedded world's name, or a folder of the user's own."""

    name: str
    world: str | None = None
    root: str | None = None
    is_held_out: bool = False  # its categories are those that the source's data hold out


@dataclass(frozen=True, slots=True)
class Primary:
    """An endpoint; the primary one is the difference that answers the study's question.

    `versus` names several sources as rows do, "A and B", where the claim is made against each.
    """

    source: str
    versus: str
    target: str
    probe: str | None = None
    shots: int | str | None = None
    metric: str = "top-1"
    readout: str | None = None  # studies of older versions name none
    minus_target: str | None = None

    @property
    def at(self) -> str:
        """The target of its rows, "NEAR minus FAR" for a difference of differences."""
        return less_target(self.target, self.minus_target)

    @property
    def rivals(self) -> tuple[str, ...]:
        """The sources that it is compared with: one, or several."""
        return tuple(self.versus.split(BOTH))


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What study.toml says of the study; `settings` are all its keys, dotted, in file order."""

    name: str = "study"
    question: str = ""
    primary: Primary | None = None
    family: tuple[Primary, ...] = ()
    seeds: tuple[int, ...] = ()
    sources: tuple[SourceFacts, ...] = ()
    targets: tuple[TargetFacts, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    margin: float = 0.02  # a difference within it counts as none; studies of older versions: this
    parameters: int | None = None  # that the encoder of the primary source learned
    seal: str | None = None  # its place among those of the study, "1 of 2"; None without a seal


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One epoch of one source: mappings are empty where the run logged nothing."""

    source: str
    seed: int
    epoch: int
    shares: Mapping[str, float]
    validation: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A clip that could not be used as it stands."""

    clip: str
    dataset: str
    split: str
    problem: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one source's model says of a clip, most probable class first."""

    source: str
    seed: int | None
    classes: tuple[tuple[str, float], ...]
    level: str
    caption: str | None
    truth: str | None  # the true caption in this source's form, where the run wrote it
    true_class: str | None  # the right class at this level, likewise


@dataclass(frozen=True, slots=True)
class Example:
    """A clip shown in the report; `video` is None where the file is absent or no WebM."""

    clip: str
    dataset: str
    category: str
    caption: str
    video: bytes | None
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Everything that the report is made of."""

    study: StudyFacts
    rows: tuple[ResultRow, ...]
    curves: tuple[CurvePoint, ...] = ()
    ledger: tuple[LedgerEntry, ...] | None = None  # None where the run wrote no ledger
    provenance: Json = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    held_out: tuple[HeldOut, ...] = ()  # of each seed, or one for all; studies may hold out none


def read_run_folder(run_dir: Path) -> RunFolder:
    """Read a run folder.

    Raises:
        ResultError: if results.jsonl is absent or malformed, or another file is no TOML or JSON.
    """
    results = run_dir / "results.jsonl"
    if not results.is_file():
        raise ResultError(f"{results}: not found; is {run_dir} a run folder? Run the study first")
    study, provenance = read_study(run_dir / "study.toml"), read_provenance(run_dir)
    parameters = encoder_parameters(run_dir, study.primary.source) if study.primary else None
    seal = seal_words(run_dir, study.name, provenance)
    return RunFolder(
        study=replace(study, parameters=parameters, seal=seal),
        rows=tuple(map(_printable_row, read_rows(results))),
        curves=tuple(map(_curve_point, _json_lines(run_dir / "curves.jsonl"))),
        ledger=_read_ledger(run_dir / "ledger.jsonl"),
        provenance=provenance,
        examples=_read_examples(run_dir / "examples"),
        held_out=held_out_of(_read_json(run_dir / "held-out.json")),
    )


def _printable_row(row: ResultRow) -> ResultRow:
    return replace(
        row,
        source=None if row.source is None else printable(row.source),
        versus=None if row.versus is None else printable(row.versus),
        target=printable(row.target),
        metric=printable(row.metric),
        readout=None if row.readout is None else printable(row.readout),
        probe=None if row.probe is None else printable(row.probe),
    )


def read_study(path: Path) -> StudyFacts:
    """Read study.toml; an absent file gives the defaults.

    Raises:
        ResultError: if the file is no TOML.
    """
    if not path.is_file():
        return StudyFacts()
    try:
        settings: Json = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultError(f"{path}: no TOML: {error}") from error
    return StudyFacts(
        name=text_of(settings, "name") or "study",
        question=text_of(settings, "question") or "",
        primary=_primary(as_mapping(settings.get("primary"))),
        family=tuple(filter(None, map(_primary, as_mappings(settings.get("family"))))),
        seeds=tuple(seed for seed in as_sequence(settings.get("seeds")) if isinstance(seed, int)),
        sources=tuple(map(_source, as_mappings(settings.get("sources")))),
        targets=tuple(
            _target(each, source=text_of(as_mapping(settings.get("data")), "world"))
            for each in as_mappings(settings.get("targets"))
        ),
        settings=tuple(flatten(settings)),
        margin=_margin(settings),
    )


def flatten(settings: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every setting as a dotted key and its value, as TOML would write it."""
    for key, value in settings.items():
        dotted = f"{prefix}{printable(key)}"
        nested = as_mappings(value)
        if isinstance(value, Mapping):
            yield from flatten(as_mapping(value), f"{dotted}.")
        elif nested:
            for index, item in enumerate(nested):
                yield from flatten(item, f"{dotted}[{index}].")
        else:
            yield dotted, printable(_as_text(value))


def _margin(settings: Json) -> float:
    """Return the study's margin as a fraction; the default where it names none that is usable."""
    points = settings.get("margin")
    if not isinstance(points, int | float) or isinstance(points, bool) or not 0 < points < 100:
        return StudyFacts().margin
    return points / 100


def read_provenance(run_dir: Path) -> Json:
    """Read what a run came from; empty where the run is unfinished, or the file cannot be read."""
    return as_mapping(_read_json(run_dir / "provenance.json"))


def processors_of(provenance: Json) -> tuple[str, ...]:
    """Return the kinds of processor that a run was computed on; none where it was not recorded."""
    same_bits = provenance.get("same_bits")
    kinds = same_bits.get("processors") if isinstance(same_bits, Mapping) else None
    return tuple(map(printable, map(str, kinds))) if isinstance(kinds, list) else ()


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        return str(value)  # TOML's dates and times


def _primary(primary: Json) -> Primary | None:
    source, target = text_of(primary, "source"), text_of(primary, "target")
    written = primary.get("versus")
    versus = [printable(each) for each in (written, *as_sequence(written)) if isinstance(each, str)]
    if source is None or not versus or target is None:
        return None
    shots = primary.get("shots")
    return Primary(
        source=source,
        versus=versus_each(versus),
        target=target,
        probe=text_of(primary, "probe"),
        shots=shots if isinstance(shots, int | str) else None,
        metric=text_of(primary, "metric") or "top-1",
        readout=text_of(primary, "readout"),
        minus_target=text_of(primary, "minus_target"),
    )


def _source(source: Json) -> SourceFacts:
    return SourceFacts(
        name=text_of(source, "name") or "unnamed",
        classify=text_of(source, "classify"),
        caption=text_of(source, "caption"),
        classification_weight=as_number(source.get("lambda")),
        origin=(text_of(source, "encoder"), text_of(source, "warm_start")),
        twin_of=text_of(source, "twin_of"),
        regrouped=source.get("regrouped") is True,
    )


def _target(target: Json, *, source: str | None) -> TargetFacts:
    name = text_of(target, "name") or "unnamed"
    world, root = text_of(target, "world"), text_of(target, "root")
    is_held_out = world is None and root is None and target.get("novel") is True
    # The clips of held-out categories are the source's own.
    return TargetFacts(name, source if is_held_out else world, root, is_held_out)


def _curve_point(line: Json) -> CurvePoint:
    return CurvePoint(
        source=text_of(line, "source") or "unnamed",
        seed=int(as_number(line.get("seed")) or 0),
        epoch=int(as_number(line.get("epoch")) or 0),
        shares=numbers_of(line.get("shares")),
        validation=numbers_of(line.get("validation")),
    )


def _read_ledger(path: Path) -> tuple[LedgerEntry, ...] | None:
    return tuple(map(_ledger_entry, _json_lines(path))) if path.is_file() else None


def _ledger_entry(line: Json) -> LedgerEntry:
    names = ("clip", "dataset", "split", "problem")
    clip, dataset, split, problem = (text_of(line, name) or "" for name in names)
    return LedgerEntry(clip=clip, dataset=dataset, split=split, problem=problem)


def _read_examples(folder: Path) -> tuple[Example, ...]:
    return tuple(
        Example(
            clip=text_of(entry, "clip") or "",
            dataset=text_of(entry, "dataset") or "source",
            category=text_of(entry, "category") or "",
            caption=text_of(entry, "caption") or "",
            video=_read_video(folder, text_of(entry, "file")),
            predictions=tuple(map(_prediction, as_mappings(entry.get("predictions")))),
        )
        for entry in as_mappings(_read_json(folder / "examples.json"))
    )


def _read_video(folder: Path, name: str | None) -> bytes | None:
    # A name is data: it may not lead out of the folder, by dots, by a root or by a link.
    if not name or "\0" in name:
        return None
    path = (folder / Path(name).name).resolve()
    if path.parent != folder.resolve() or not path.is_file():
        return None
    content = path.read_bytes()
    return content if content.startswith(EBML_MAGIC) else None


def _prediction(entry: Json) -> Prediction:
    classes = (
        (text_of(item, "name") or "", as_number(item.get("probability")) or 0.0)
        for item in as_mappings(entry.get("classes"))
    )
    seed = as_number(entry.get("seed"))
    return Prediction(
        source=text_of(entry, "source") or "unnamed",
        seed=None if seed is None else int(seed),
        classes=tuple(sorted(classes, key=lambda item: -item[1])),
        level=text_of(entry, "level") or "",
        caption=text_of(entry, "caption"),
        truth=text_of(entry, "truth"),
        true_class=text_of(entry, "true_class"),
    )


def _read_json(path: Path) -> object:
    if not path.is_file():
        return None
    try:
        loaded: object = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultError(f"{path}: no JSON: {error}") from error
    return loaded


def _json_lines(path: Path) -> Iterator[Json]:
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield as_mapping(json.loads(line))
        except ValueError as error:
            raise ResultError(f"{path}:{number}: no JSON: {error}") from error

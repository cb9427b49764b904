"""A run folder as the report reads it; a run may be unfinished.

Only results.jsonl has to be there. What else is absent reads as empty, and the page says so; what
is there and does not fit is refused with file, line and key, study.toml apart: of it the report
takes what it shows.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)

from taskgrain.config.checked import faults_of
from taskgrain.errors import ResultError
from taskgrain.report.held_out import HeldOut, held_out_of
from taskgrain.report.origin import encoder_parameters, seal_words
from taskgrain.report.words import printable, whole_letters
from taskgrain.results import BOTH, ResultRow, less_target, read_rows, versus_each

Json = Mapping[str, object]
Kind = TypeVar("Kind")
EBML_MAGIC = b"\x1a\x45\xdf\xa3"  # the first bytes of every WebM file


def _or_empty(stored: object) -> object:
    return "" if stored is None else stored


def _present(stored: object) -> object:
    """Leave out the numbers that a run noted as absent, null."""
    if not isinstance(stored, dict):
        return {} if stored is None else stored
    return {key: value for key, value in stored.items() if value is not None}


Text = Annotated[str, AfterValidator(printable)]  # without letters that XML refuses
Numbers = Annotated[Mapping[str, float], BeforeValidator(_present)]


class Ranked(NamedTuple):
    """A class and how probable a model holds it, 0 to 1."""

    name: Text
    probability: float


def _most_probable_first(ranked: tuple[Ranked, ...]) -> tuple[Ranked, ...]:
    return tuple(sorted(ranked, key=lambda each: -each.probability))


Ranking = Annotated[tuple[Ranked, ...], AfterValidator(_most_probable_first)]


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
    readout: str | None = None
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
    margin: float = 0.02  # a fraction; a difference within it counts as none
    parameters: int | None = None  # that the encoder of the primary source learned
    seal: str | None = None  # its place among those of the study, "1 of 2"; None without a seal


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One epoch of one source; the source has no part that its mappings do not name."""

    source: Text
    seed: int
    epoch: int
    shares: Numbers
    validation: Numbers


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A clip that could not be used as it stands."""

    clip: Text
    dataset: Text
    split: Text
    problem: Text


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one source's model says of a clip, most probable class first."""

    source: Text
    seed: int | None
    classes: Ranking
    level: Annotated[Text, BeforeValidator(_or_empty)]  # "" of a source without classes
    caption: Text | None
    truth: Text | None = None  # the true caption in this source's form, where the run wrote it
    true_class: Text | None = None  # the right class at this level, likewise


def _video_of(name: object, info: ValidationInfo) -> object:
    folder = info.context
    return _read_video(folder, name) if isinstance(name, str) and folder is not None else name


@dataclass(frozen=True, slots=True)
class Example:
    """A clip shown in the report; `video` is None where the file is absent or no WebM."""

    clip: Text
    dataset: Text
    category: Text
    caption: Text
    # examples.json has the file's name, and lies in the same folder.
    video: Annotated[bytes | None, Field(validation_alias="file"), BeforeValidator(_video_of)]
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


_CURVES, _LEDGER = TypeAdapter(CurvePoint), TypeAdapter(LedgerEntry)
_EXAMPLES = TypeAdapter(tuple[Example, ...])


def read_run_folder(run_dir: Path) -> RunFolder:
    """Read a run folder.

    Raises:
        ResultError: if results.jsonl is absent or malformed, or another file is no TOML or JSON.
    """
    results, curves, ledger = (
        run_dir / name for name in ("results.jsonl", "curves.jsonl", "ledger.jsonl")
    )
    if not results.is_file():
        raise ResultError(f"{results}: not found; is {run_dir} a run folder? Run the study first")
    study, provenance = read_study(run_dir / "study.toml"), read_provenance(run_dir)
    parameters = encoder_parameters(run_dir, study.primary.source) if study.primary else None
    opened = _text_of(_as_mapping(provenance.get("seal")), "opened") or ""
    seal = seal_words(run_dir, study.name, opened)
    return RunFolder(
        study=replace(study, parameters=parameters, seal=seal),
        rows=tuple(map(_printable_row, read_rows(results))),
        curves=_read_lines(_CURVES, curves) if curves.is_file() else (),
        ledger=_read_lines(_LEDGER, ledger) if ledger.is_file() else None,
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
        name=_text_of(settings, "name") or "study",
        question=_text_of(settings, "question") or "",
        primary=_primary(_as_mapping(settings.get("primary"))),
        family=tuple(filter(None, map(_primary, _as_mappings(settings.get("family"))))),
        seeds=tuple(seed for seed in _as_sequence(settings.get("seeds")) if isinstance(seed, int)),
        sources=tuple(map(_source, _as_mappings(settings.get("sources")))),
        targets=tuple(
            _target(each, source=_text_of(_as_mapping(settings.get("data")), "world"))
            for each in _as_mappings(settings.get("targets"))
        ),
        settings=tuple(flatten(settings)),
        margin=_margin(settings),
    )


def flatten(settings: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every setting as a dotted key and its value, as TOML would write it."""
    for key, value in settings.items():
        dotted = f"{prefix}{printable(key)}"
        nested = _as_mappings(value)
        if isinstance(value, Mapping):
            yield from flatten(_as_mapping(value), f"{dotted}.")
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
    return _as_mapping(_read_json(run_dir / "provenance.json"))


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
    source, target = _text_of(primary, "source"), _text_of(primary, "target")
    written = primary.get("versus")
    versus = [
        printable(each) for each in (written, *_as_sequence(written)) if isinstance(each, str)
    ]
    if source is None or not versus or target is None:
        return None
    shots = primary.get("shots")
    return Primary(
        source=source,
        versus=versus_each(versus),
        target=target,
        probe=_text_of(primary, "probe"),
        shots=shots if isinstance(shots, int | str) else None,
        metric=_text_of(primary, "metric") or "top-1",
        readout=_text_of(primary, "readout"),
        minus_target=_text_of(primary, "minus_target"),
    )


def _source(source: Json) -> SourceFacts:
    return SourceFacts(
        name=_text_of(source, "name") or "unnamed",
        classify=_text_of(source, "classify"),
        caption=_text_of(source, "caption"),
        classification_weight=_as_number(source.get("lambda")),
        origin=(_text_of(source, "encoder"), _text_of(source, "warm_start")),
        twin_of=_text_of(source, "twin_of"),
        regrouped=source.get("regrouped") is True,
    )


def _target(target: Json, *, source: str | None) -> TargetFacts:
    name = _text_of(target, "name") or "unnamed"
    world, root = _text_of(target, "world"), _text_of(target, "root")
    is_held_out = world is None and root is None and target.get("novel") is True
    # The clips of held-out categories are the source's own.
    return TargetFacts(name, source if is_held_out else world, root, is_held_out)


def _read_examples(folder: Path) -> tuple[Example, ...]:
    path = folder / "examples.json"
    if not path.is_file():
        return ()
    return _parse(_EXAMPLES, path.read_text(encoding="utf-8"), str(path), folder)


def _read_video(folder: Path, name: str) -> bytes | None:
    # A name is data: it may not lead out of the folder, by dots, by a root or by a link.
    if not name or "\0" in name:
        return None
    path = (folder / Path(name).name).resolve()
    if path.parent != folder.resolve() or not path.is_file():
        return None
    content = path.read_bytes()
    return content if content.startswith(EBML_MAGIC) else None


def _read_json(path: Path) -> object:
    if not path.is_file():
        return None
    try:
        loaded: object = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultError(f"{path}: no JSON: {error}") from error
    return loaded


def _read_lines(kind: TypeAdapter[Kind], path: Path) -> tuple[Kind, ...]:
    # Not splitlines: a caption may hold one of the other characters that end a line there.
    lines = path.read_text(encoding="utf-8").split("\n")
    return tuple(
        _parse(kind, line, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )


def _parse(kind: TypeAdapter[Kind], text: str, where: str, folder: Path | None = None) -> Kind:
    """Read one JSON value; `folder` is that of the videos that it names.

    Raises:
        ResultError: naming the place and each key that does not fit.
    """
    try:
        return kind.validate_json(whole_letters(text), strict=True, context=folder)
    except ValidationError as error:
        raise ResultError(f"{where}: {'; '.join(faults_of(error))}") from None


def _as_mapping(value: object) -> Json:
    """Return a JSON object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def _as_sequence(value: object) -> tuple[object, ...]:
    """Return a list's items; none for anything else."""
    return tuple(value) if isinstance(value, list | tuple) else ()


def _as_mappings(value: object) -> tuple[Json, ...]:
    """Return the objects of a list; none for anything else."""
    return tuple(_as_mapping(item) for item in _as_sequence(value) if isinstance(item, Mapping))


def _text_of(mapping: Json, key: str) -> str | None:
    """Return the text at a key, without letters that XML refuses; None for anything else."""
    value = mapping.get(key)
    return printable(value) if isinstance(value, str) else None


def _as_number(value: object) -> float | None:
    """Return a number as float; None for anything else, true and false too."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isinstance(value, int | float) else None

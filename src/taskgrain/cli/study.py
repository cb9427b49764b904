"""`taskgrain study`: the whole question, from data to report; its plan and cost with --dry-run."""

from __future__ import annotations

import json
import tempfile
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from taskgrain.config.settings import Study
    from taskgrain.study.cost import StudyCost
    from taskgrain.study.datasets import Footage
    from taskgrain.study.seed_clips import SeedFacts


def study(
    name: Annotated[
        str, typer.Argument(help="a packaged study (quick, smoke, joint, ...) or a TOML file")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="change a setting: --set train.epochs=3 (repeatable)"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="run folder [default: runs/NAME]")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="processes, one thread each [default: one a core; one on another device]"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="where encoders compute: cpu, cuda, cuda:1")] = "cpu",
    mix_processors: Annotated[
        bool,
        typer.Option(
            "--mix-processors",
            help="go on with a run of another kind of processor; the report says so",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the plan and its cost, and stop")
    ] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="name and remove the run's caches, and stop")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress")] = False,
) -> None:
    """Train an encoder at every grain, test its features on the targets, and write a report.

    A stopped study goes on where it was when the same command is given again.
    """
    from taskgrain.config.load import load_study

    settings = load_study(name, overrides or [])
    folder = out if out is not None else Path("runs") / settings.name
    if dry_run:
        print_plan(settings, workers, device=device, as_json=as_json)
    elif clean:
        _clean(settings, folder)
    else:
        from taskgrain.study.run import run_study

        run_study(
            settings,
            folder,
            workers=workers,
            device=device,
            mix_processors=mix_processors,
            quiet=quiet,
        )
        _show(folder, as_json=as_json)


def _show(folder: Path, *, as_json: bool) -> None:
    from taskgrain.report.answer import summarise
    from taskgrain.report.html import write_report

    page = write_report(folder)
    answer = summarise(folder)
    if as_json:
        print(json.dumps({"run": str(folder), "report": str(page), "answer": answer}))
    else:
        print(f"{answer}\n\nThe report: {page}")


def _clean(settings: Study, folder: Path) -> None:
    from taskgrain.errors import RunError
    from taskgrain.jobs.workspace import workspace
    from taskgrain.study.folder import RunFolder, claim, remove_caches

    if not (folder / "study.toml").is_file():
        raise RunError(f"{folder} holds no run (no study.toml), so nothing is removed")
    run = RunFolder(folder)
    with workspace(folder):
        claim(run, settings)
        for path, num_bytes in remove_caches(run):
            print(f"removed {path} ({num_bytes / 1e6:.0f} MB)")


def print_plan(settings: Study, workers: int | None, *, device: str, as_json: bool) -> None:
    """Print the cells of a study with their seconds on a CPU, and what it takes anywhere.

    Where a folder of the user's own is not there yet, the cells are left out, and the cost is
    that of the clips that the settings name.
    """
    from taskgrain.study.checking import lay_out_study
    from taskgrain.study.cost import estimate
    from taskgrain.study.datasets import SOURCE
    from taskgrain.study.folder import RunFolder
    from taskgrain.study.inputs import Inputs
    from taskgrain.study.networks import missing_weights
    from taskgrain.study.plan import plan_cells, total_seconds
    from taskgrain.study.provenance import check_frozen_commit
    from taskgrain.study.run import usual_workers
    from taskgrain.study.seed_clips import seed_facts
    from taskgrain.train.precision import check_precision, named_device

    check_precision(settings.train.precision, device=named_device(device))
    check_frozen_commit(settings)
    workers = workers or usual_workers(device)
    missing, weights = _missing(settings), missing_weights(settings)
    steps: list[dict[str, object]] = []
    total = None
    # Cells are laid out below a folder that is thrown away: a dry run leaves nothing behind.
    with tempfile.TemporaryDirectory() as scratch:
        folder, datasets = RunFolder(Path(scratch)), None
        if not missing:
            datasets = lay_out_study(settings, folder)
            cells = plan_cells(Inputs(settings, folder, datasets, None, "cpu", "fp32"))
            seconds: defaultdict[str, float] = defaultdict(float)
            for cell in cells:
                seconds[cell.name.split()[0]] += cell.cost
            number = Counter(cell.name.split()[0] for cell in cells)
            steps = [{"step": k, "cells": number[k], "seconds": v} for k, v in seconds.items()]
            total = total_seconds(cells, workers)
        cost = estimate(settings, datasets)
        facts: list[SeedFacts] = []
        if datasets is not None:
            facts = seed_facts(settings.data, datasets[SOURCE].manifest(), settings.seeds)
    if as_json:
        plan = {"steps": steps or None, "workers": workers, "seconds": total}
        lacking = {"missing": missing, "missing_weights": weights}
        held_out = {"seed_clips": list(map(asdict, facts))}
        print(json.dumps({**plan, **lacking, **held_out, "cost": asdict(cost)}))
        return
    print(f"{settings.name}: {settings.question}\n")
    _print_steps(steps)
    if total is not None:
        from taskgrain.report.words import count_words

        processes = count_words(workers, "worker")
        print(f"\nabout {duration(total)} with {processes} on a two-core AVX2 CPU\n")
    for root in missing:
        print(f"{root} is not there: counted as the settings say, not as it is")
    for problem in weights:
        print(f"missing weights: {problem}")
    for name, footage in cost.footage.items():
        print(_footage_text(name, footage))
    for each in facts:
        print(_seed_text(each))
    print(_cost_text(cost))


def _print_steps(steps: list[dict[str, object]]) -> None:
    for step in steps:
        minutes = float(str(step["seconds"])) / 60
        print(f"  {step['step']:<10} {step['cells']:>5} cells  {minutes:>7.1f} min on one thread")


def _seed_text(facts: SeedFacts) -> str:
    """Phrase how many categories and clips a seed learns from, and how many are kept from it."""
    seed = "every seed" if facts.seed is None else f"seed {facts.seed}"
    text = (
        f"{seed}: {facts.base} base categories, {facts.training:,} training and "
        f"{facts.validation:,} validation clips"
    )
    if not facts.novel:
        return text
    strata = f"{len(facts.siblings)} siblings, {len(facts.groups)} of whole groups"
    return (
        f"{text}; {facts.novel} novel ({'no groups' if facts.others else strata}), "
        f"{facts.support:,} support and {facts.scored:,} scored clips"
    )


def _footage_text(name: str, footage: Footage) -> str:
    """Phrase how long a dataset's clips last and take to decode, and how many have no file."""
    from taskgrain.report.words import count_words

    text = f"{name}: no header of its files could be read"
    if footage.clip_seconds is not None:
        text = (
            f"{name}: clips of {footage.clip_seconds:.1f} s, each "
            f"{1000 * footage.decode_seconds:.0f} ms of decoding on one thread: means by the "
            f"headers of {count_words(footage.sampled, 'file')}"
        )
    if footage.absent:
        text += (
            f"\n{name}: {footage.absent:,} of {count_words(footage.clips, 'annotated clip')} have "
            f"no file (first: {footage.first_absent}) and would count as failed"
        )
    return text


def _missing(settings: Study) -> list[str]:
    roots = (settings.data.root, *(target.root for target in settings.targets))
    return [str(root) for root in roots if root is not None and not root.exists()]


def duration(seconds: float) -> str:
    """Phrase a long time: minutes, hours or days."""
    for unit, length, least in (("days", 86400.0, 2.0), ("h", 3600.0, 2.0)):
        if seconds >= least * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds / 60:.0f} min"


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 0.1 else "under 0.1"


def _cost_text(cost: StudyCost) -> str:
    clips = ", ".join(f"{name} {number:,}" for name, number in cost.clips.items())
    lines = [
        f"clips: {clips}; frames of all of them stored raw: {cost.store_gigabytes:,.1f} GB",
        "",
    ]
    head = ("source", "encoder", "head", "decoder", "forward", "training", "a batch", "steps")
    lines.append("  {:<26}{:>12}{:>10}{:>12}{:>11}{:>11}{:>10}{:>11}".format(*head))
    unit = ("", "parameters", "", "", "GFLOP/clip", "GFLOP/clip", "GB", "a seed")
    lines.append("  {:<26}{:>12}{:>10}{:>12}{:>11}{:>11}{:>10}{:>11}".format(*unit))
    lines += [
        f"  {each.source:<26}{each.encoder_parameters:>12,}{each.head_parameters:>10,}"
        f"{each.decoder_parameters:>12,}{each.forward_gflops:>11.2f}{each.training_gflops:>11.2f}"
        f"{each.batch_gigabytes:>10.2f}{each.steps:>11,}"
        for each in cost.sources
    ]
    hours = ", ".join(f"{name} {_hours(value)}" for name, value in cost.hours.items())
    lines += ["", f"hours on one GPU, {cost.num_seeds} seed(s), all epochs: {hours}"]
    return "\n".join([*lines, *(f"assumed: {each}" for each in cost.assumptions)])

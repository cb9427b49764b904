"""`taskgrain labels`: what a dataset's labels say at every grain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from taskgrain.labels.vocabulary import Coverage
    from taskgrain.tools.labels.summary import Branch, LabelSummary


def labels(
    data: Annotated[Path, typer.Argument(help="dataset folder")],
    min_count: Annotated[
        int, typer.Option(min=1, help="words rarer than this in training captions are unknown")
    ] = 1,
    top: Annotated[int, typer.Option(min=0, help="simplifications to list for each rule")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Print a dataset's hierarchy, its vocabulary, and what each grain tells, in bits.

    The videos are not looked at.
    """
    from taskgrain.data.opening import read_manifest
    from taskgrain.tools.labels.summary import summarise_labels

    summary = summarise_labels(read_manifest(data), min_count=min_count, top=top)
    if as_json:
        print(json.dumps({"data": str(data), **summary.to_json()}, ensure_ascii=False))
    else:
        print("\n".join(_text(data, summary)))


def _text(data: Path, summary: LabelSummary) -> Iterator[str]:
    yield f"{data}: {summary.train} training clips, {summary.validation} of validation"
    yield from ("", f"tree ({' > '.join(summary.chain)}; training and validation clips)")
    yield from _tree(summary.tree, depth=1)
    yield from ("", f"{'grain':<24} {'names':>7} {'train':>8} {'validation':>11} {'bits':>7}")
    for name, level in summary.levels.items():
        counts = f"{level.names:>7} {level.train:>8} {level.validation:>11}"
        left_out = f"  ({level.left_out} categories have no name there)" if level.left_out else ""
        yield f"{name:<24} {counts} {summary.entropy_bits[name]:>7.2f}{left_out}"
    for form in summary.forms:
        yield f"{form:<24} {'':>28} {summary.entropy_bits[form]:>7.2f}"
    yield from _vocabulary(summary)
    for name, rule in summary.simplifications.items():
        yield ""
        yield (
            f"simplified by {name}: {rule.changed} of {rule.placeholders} training placeholders "
            f"change, {rule.distinct_before} distinct ones become {rule.distinct_after}"
        )
        for each in rule.most_frequent:
            yield f"{each.count:>8}  {each.placeholder} -> {each.word}"
    yield ""
    yield f"{len(summary.contrastive_groups)} contrastive groups of Something-Something are there"
    share = summary.mirrored / summary.train if summary.train else 0.0
    yield (
        f"{summary.mirrored} training clips ({share:.1%}) have labels that can be mirrored by the "
        "table of Something-Something; a study's own data.mirror is not counted"
    )


def _tree(branches: Sequence[Branch], depth: int) -> Iterator[str]:
    for branch in branches:
        clips = f"{branch.train:>8} {branch.validation:>8}"
        yield f"{clips}  {'  ' * (depth - 1)}{branch.name}"
        yield from _tree(branch.branches, depth + 1)


def _vocabulary(summary: LabelSummary) -> Iterator[str]:
    yield ""
    yield (
        f"vocabulary of words seen {summary.min_count} times or more in training "
        "(captions covered whole; words unknown; captions cut)"
    )
    if "template" not in summary.forms:
        yield "captions are free sentences, which no template stands behind: the form full alone"
    yield f"{'caption form':<24} {'words':>7} {'train':>24} {'validation':>24}"
    for form, held in summary.forms.items():
        yield f"{form:<24} {held.words:>7} {_cover(held.train):>24} {_cover(held.validation):>24}"


def _cover(counts: Coverage) -> str:
    if not counts.num_tokens:
        return "-"
    return f"{counts.coverage:.1%}; {counts.unknown_rate:.1%}; {counts.num_cut}"

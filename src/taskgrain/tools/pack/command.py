"""`taskgrain pack`: a dataset's clips, decoded once into a frame store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from taskgrain.tools.pack.packing import PackSummary


EncodingName = Literal["auto", "raw", "jpeg"]
FitName = Literal["stretch", "crop"]


def pack(
    data: Annotated[Path, typer.Argument(help="dataset folder")],
    store: Annotated[Path, typer.Argument(help="folder of the store")],
    height: Annotated[int, typer.Option(min=8, max=1024, help="pixels of a frame")] = 128,
    width: Annotated[int, typer.Option(min=8, max=1024, help="pixels of a frame")] = 128,
    encoding: Annotated[
        EncodingName, typer.Option(help="auto is raw up to 8 GiB, and JPEG beyond")
    ] = "auto",
    quality: Annotated[int, typer.Option(min=1, max=100, help="of JPEG")] = 90,
    fit: Annotated[
        FitName, typer.Option(help="stretch to the size, or crop to keep the aspect")
    ] = "stretch",
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes, one thread each [default: one a core]")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="check what is there, and pack again what is damaged")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress")] = False,
) -> None:
    """Decode a dataset's clips once into a store, from which training reads frames at once.

    A stopped packing goes on where it was when the same command is given again. Clips that cannot
    be decoded are counted, and listed in the store.
    """
    from taskgrain.tools.pack.packing import PackSettings, pack_dataset

    settings = PackSettings(height, width, encoding, quality, fit)
    done = pack_dataset(data, store, settings, workers=workers, verify=verify, quiet=quiet)
    if as_json:
        print(json.dumps({"store": str(store), **done.to_json()}, ensure_ascii=False))
    else:
        print(_text(store, done))


def _text(store: Path, done: PackSummary) -> str:
    facts = done.facts
    stored = "raw" if facts.quality is None else f"JPEG of quality {facts.quality}"
    lines = [f"damaged, and packed again: {problem}" for problem in done.damaged]
    lines.append(
        f"{store}: {facts.clips} clips, {done.frames} frames of {facts.width} x {facts.height} "
        f"as {stored}, {done.bytes / 1e6:.1f} MB in {facts.shards} shards"
    )
    if done.failed or done.truncated:
        lines.append(
            f"{done.failed} failed and {done.truncated} truncated; `taskgrain check` says why"
        )
    packed = f"{done.packed_shards} packed now" if done.packed_shards else "all were there"
    lines.append(f"{packed}, in {done.seconds:.1f} s")
    return "\n".join(lines)

"""Every benchmark in one run: one table, and as JSON where a file is named.

Usage: python -m benchmarks.run [--small] [--json FILE]

The exit code is 1 if a benchmark fails, which is said where it happens, or a claim is missed.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

from benchmarks import (
    bench_annotations,
    bench_caption_decoding,
    bench_captions,
    bench_commands,
    bench_compare,
    bench_decode,
    bench_drawing,
    bench_memory,
    bench_pack,
    bench_probes,
    bench_store,
    bench_training,
)
from benchmarks.table import Measure, Row, measured, print_rows, write_json

BENCHMARKS: dict[str, Measure] = {
    "annotations": bench_annotations.measure,
    "drawing": bench_drawing.measure,
    "decode": bench_decode.measure,
    "store": bench_store.measure,
    "pack": bench_pack.measure,
    "memory": bench_memory.measure,
    "training": bench_training.measure,
    "caption decoding": bench_caption_decoding.measure,
    "probes": bench_probes.measure,
    "captions": bench_captions.measure,
    "compare": bench_compare.measure,
    "commands": bench_commands.measure,
}


def run_all(*, small: bool) -> tuple[list[Row], list[str]]:
    """Run every benchmark: all their rows, and the names of those that failed."""
    rows: list[Row] = []
    failed: list[str] = []
    for name, measure in BENCHMARKS.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            rows += measured(measure, small=small)
        except Exception:  # noqa: BLE001 - the others are measured all the same
            traceback.print_exc()
            failed.append(name)
    return rows, failed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a minute; no claim is judged")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    arguments = parser.parse_args()
    rows, failed = run_all(small=arguments.small)
    print_rows(rows)
    if arguments.json is not None:
        write_json(rows, arguments.json)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    if failed or any(row.reached is False for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

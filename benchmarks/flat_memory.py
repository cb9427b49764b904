"""Peak memory of gathering rows and of writing features, with some clips and four times as many.

Usage: python benchmarks/flat_memory.py [CLIPS]; 25,000 without it, as many as the validation clips
of Something-Something. Answers and features are drawn at random: nothing is trained. Each peak is
of a process of its own, libraries included (ru_maxrss).
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from taskgrain.study.gather import RowPlan, rows_of_task
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.archive import PART_CLIPS, extract_in_parts, remove_parts
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.features import write_feature_parts
from taskgrain.transfer.predictions import write_evaluation
from taskgrain.transfer.task import TargetTask

SOURCES = ("coarse", "middle", "fine")
SEEDS = range(3)
READOUTS = ("lstm-mean", "channels-mean")
PROBES = ("nearest-mean", "ridge")
SHOTS = (1, 5)
DRAWS = 20
CLASSES = 20
STEPS, WIDTH = 16, 128  # of features


def made_task(num_clips: int) -> TargetTask:
    """Make a task of clips in classes of equal size."""
    labels = np.arange(num_clips) % CLASSES
    return TargetTask(
        "made",
        tuple(f"class {number}" for number in range(CLASSES)),
        tuple(f"support {number}" for number in range(CLASSES)),
        np.arange(CLASSES),
        tuple(f"clip {number}" for number in range(num_clips)),
        labels,
    )


def write_answers(folder: Path, num_clips: int) -> None:
    """Write an evaluation for each source, seed and read-out, and one of a control."""
    task = made_task(num_clips)
    subjects = [
        (source, seed, readout) for source in SOURCES for seed in SEEDS for readout in READOUTS
    ]
    for index, (source, seed, readout) in enumerate([*subjects, (None, None, "flat")]):
        generator = np.random.default_rng(index)

        def answered(probe: str, shots: int, generator: np.random.Generator) -> Answers:
            shape = (DRAWS, num_clips)
            drawn = generator.integers(CLASSES, size=shape, dtype=np.int16)
            known = generator.random(shape, np.float32) < 0.1 * shots
            predicted = np.where(known, task.query_labels.astype(np.int16), drawn)
            return Answers(probe, shots, predicted, None, None)

        evaluation = Evaluation(
            Subject(source, seed, readout, "pixels" if source is None else None),
            task.name,
            task.class_names,
            task.query_ids,
            task.query_labels,
            0,
            0,
            tuple(answered(probe, shots, generator) for probe in PROBES for shots in SHOTS),
        )
        write_evaluation(folder / f"{index:03d}.npz", evaluation)


def gather(folder: Path, num_clips: int) -> None:
    """Turn the answers into rows."""
    endpoint = Endpoint("fine", ("coarse",), "made", "ridge", 5, "top-1", "lstm-mean")
    plan = RowPlan(
        "made",
        [("fine", "coarse"), ("middle", "coarse")],
        list(SOURCES),
        "top-1",
        ("pixels",),
        endpoint,
    )
    rows = rows_of_task(
        sorted(folder.glob("*.npz")), [], made_task(num_clips), plan, spill_folder=folder
    )
    assert len(rows) > 200


def extract(folder: Path, num_clips: int) -> None:
    """Write features of every step part by part, as an extraction does."""

    def make(number: int) -> dict[str, np.ndarray]:
        clips = range(number * PART_CLIPS, min(num_clips, (number + 1) * PART_CLIPS))
        generator = np.random.default_rng(number)
        values = generator.standard_normal((len(clips), STEPS, WIDTH), np.float32)
        return {"clip": np.array([f"clip {n}" for n in clips]), "output": values}

    output = folder / "features.npz"
    parts = extract_in_parts(output, make, num_parts=-(-num_clips // PART_CLIPS), key="made")
    assert write_feature_parts(output, parts, "output", {})[0] == num_clips
    remove_parts(output)


WORK = {"gather": gather, "extract": extract}


def peaks(few: int) -> Iterator[tuple[str, float, float]]:
    """Yield what was done, and its peak in MB with so many clips and with four times as many."""
    for name in WORK:
        found = []
        for num_clips in (few, 4 * few):
            with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
                if name == "gather":
                    write_answers(Path(folder), num_clips)
                command = [sys.executable, __file__, name, folder, str(num_clips)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found.append(float(done.stdout))
        yield name, found[0], found[1]


def main(arguments: list[str]) -> None:
    """Measure both; or do one in this process and print its peak."""
    if len(arguments) == 3:
        name, folder, num_clips = arguments
        WORK[name](Path(folder), int(num_clips))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
        return
    few = int(arguments[0]) if arguments else 25_000
    for name, low, high in peaks(few):
        print(
            f"{name}: {low:.0f} MB with {few:,} clips, {high:.0f} MB with {4 * few:,}: "
            f"{high / low:.2f} times"
        )


if __name__ == "__main__":
    main(sys.argv[1:])

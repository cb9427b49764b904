"""Start-up: `--help` beside `import typer`, and `describe` of one clip beside `import torch`.

CPU seconds of whole processes, in turns. Nobody can be faster than the import; `describe` is
claimed to need no more than 0.7 s beyond it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.table import Row, main_of
from benchmarks.timing import best_seconds, children_seconds, command

from taskgrain.checkpoint import ModelDescription
from taskgrain.data.sampling import FrameSampling
from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.taxonomy import CATEGORY, taxonomy_of
from taskgrain.labels.vocabulary import build_vocabulary
from taskgrain.models.weights import save_weights
from taskgrain.tabletop.dataset import WorldSpec, clip_path, plan, write_clip
from tests.networks import build_model, compact_shape

ROUNDS = 5
BEYOND_TORCH = 0.7  # s
HELP_SECONDS = 0.25


def write_checkpoint(folder: Path) -> None:
    """Write a checkpoint of the quick study's size with the weights that training begins with."""
    taxonomy = taxonomy_of(sorted(BRACKETED))
    vocabulary = build_vocabulary(
        [caption.replace("[", "").replace("]", "") for caption in BRACKETED]
    )
    model = build_model(
        compact_shape(),
        num_classes=len(taxonomy.categories),
        vocabulary_size=len(vocabulary),
        seed=0,
    )
    description = ModelDescription(
        *("joint-full", 0, compact_shape(), taxonomy, CATEGORY, "full", vocabulary),
        FrameSampling(16, 64, 64, 56, 56),
    )
    folder.mkdir()
    save_weights(model, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(description.to_json()))


def measure(small: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (drawn,) = plan(WorldSpec(world="tabletop", seed=0, train=1, validation=0))
        write_clip(root, drawn)
        write_checkpoint(root / "last")
        ours = [sys.executable, "-m", "taskgrain"]
        python = [sys.executable, "-c"]
        clip = str(clip_path(root, drawn.clip_id))
        best = best_seconds(
            {
                "help": command([*ours, "--help"]),
                "typer": command([*python, "import typer"]),
                "describe": command([*ours, "describe", str(root / "last"), clip]),
                "torch": command([*python, "import torch"]),
            },
            rounds=1 if small else ROUNDS,
            clock=children_seconds,
        )
    return [
        Row("taskgrain --help", best["help"], "import typer", best["typer"]),
        Row("the same", best["help"], "a limit", HELP_SECONDS, wanted=1.0),
        Row("taskgrain describe, one clip", best["describe"], "import torch", best["torch"]),
        Row(
            "the same",
            best["describe"],
            f"import torch + {BEYOND_TORCH} s",
            best["torch"] + BEYOND_TORCH,
            wanted=1.0,
        ),
    ]


if __name__ == "__main__":
    main_of(measure, __doc__)

"""Caption scores: ours against pycocoevalcap's own, in one run.

BLEU-1 to BLEU-4, ROUGE-L and CIDEr-D of 25,000 captions made of Something-Something's templates,
each as a text of words with spaces between; the numbers have to be equal. Then the whole process
of `taskgrain score`, which computes five more scores, a ceiling and every interval, against a
process that reads the same files and computes these six alone. Neither runs Java's tokenizer:
both part captions at spaces (`--tokenizer words`).
"""

from __future__ import annotations

import importlib
import json
import random
import sys
import tempfile
from pathlib import Path

from benchmarks.table import Row, main_of
from benchmarks.timing import best_seconds, children_seconds, command

from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.template import fill, placeholder_count
from taskgrain.metrics.corpus_scores import TokenPairs, bleu, cider_d, rouge_l

CLIPS, FEW_CLIPS, ROUNDS, EQUAL = 25_000, 500, 3, 1e-9
METRICS_WANTED, PROCESS_WANTED = 15.0, 2.5
OBJECTS = [f"thing{number}" for number in range(2_000)]
# What a user of pycocoevalcap runs: the captions from their files, parted at spaces.
PEER_PROCESS = """
import json, sys
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
files = (json.load(open(path)) for path in sys.argv[1:])
said, true = ({row["id"]: [row["caption"]] for row in rows} for rows in files)
for scorer, options in ((Bleu(4), {"verbose": 0}), (Rouge(), {}), (Cider(), {})):
    scorer.compute_score(true, said, **options)
"""
BEFORE = ["", "a ", "the ", "a red ", "a small blue "]


def make_captions(clips: int) -> tuple[list[str], list[str]]:
    """Make what is so, and what was said of it: about half with the right template."""
    chance = random.Random(0)
    templates = sorted(BRACKETED.values())

    def caption(template: str) -> str:
        objects = [
            chance.choice(BEFORE) + OBJECTS[int(chance.paretovariate(0.7)) % len(OBJECTS)]
            for _ in range(placeholder_count(template))
        ]
        return fill(template, objects)

    of_clip = [chance.choice(templates) for _ in range(clips)]
    said = [each if chance.random() < 0.5 else chance.choice(templates) for each in of_clip]
    return [caption(each) for each in of_clip], [caption(each) for each in said]


def ours(true: list[str], said: list[str]) -> list[float]:
    pairs = TokenPairs([each.split() for each in said], [[each.split()] for each in true])
    return [score.value for score in (*bleu(pairs), rouge_l(pairs), cider_d(pairs))]


def peer(true: list[str], said: list[str]) -> list[float]:
    references = {index: [each] for index, each in enumerate(true)}
    candidates = {index: [each] for index, each in enumerate(said)}
    scorer = {
        name: getattr(importlib.import_module(f"pycocoevalcap.{name.lower()}.{name.lower()}"), name)
        for name in ("Bleu", "Rouge", "Cider")
    }
    four, _ = scorer["Bleu"](4).compute_score(references, candidates, verbose=0)
    others = [
        scorer[name]().compute_score(references, candidates)[0] for name in ("Rouge", "Cider")
    ]
    return [*four, *map(float, others)]


def write_files(root: Path, true: list[str], said: list[str]) -> tuple[str, str]:
    """Write predictions and references as files of rows, and return their paths."""
    paths = []
    for name, captions in (("said", said), ("true", true)):
        rows = [{"id": str(index), "caption": each} for index, each in enumerate(captions)]
        (root / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
        paths.append(str(root / f"{name}.json"))
    return paths[0], paths[1]


def measure(small: bool) -> list[Row]:
    clips = FEW_CLIPS if small else CLIPS
    true, said = make_captions(clips)
    rounds = 1 if small else ROUNDS
    values, theirs = ours(true, said), peer(true, said)
    apart = max(abs(a - b) for a, b in zip(values, theirs, strict=True))
    assert apart < EQUAL, (values, theirs)
    metrics = best_seconds(
        {"ours": lambda: ours(true, said), "peer": lambda: peer(true, said)}, rounds=rounds
    )
    with tempfile.TemporaryDirectory() as name:
        files = write_files(Path(name), true, said)
        score = [sys.executable, "-m", "taskgrain", "score", files[0], "--references", files[1]]
        whole = best_seconds(
            {
                "ours": command([*score, "--tokenizer", "words", "--json"]),
                "ptb": command([*score, "--json"]),
                "peer": command([sys.executable, "-c", PEER_PROCESS, *files]),
            },
            rounds=rounds,
            clock=children_seconds,
        )
    return [
        Row(
            f"BLEU-1..4, ROUGE-L and CIDEr-D of {clips:,} captions",
            metrics["ours"],
            "pycocoevalcap",
            metrics["peer"],
            wanted=METRICS_WANTED,
            note=f"equal to {apart:.0e}",
        ),
        Row(
            f"taskgrain score, {clips:,} captions, whole, with intervals",
            whole["ours"],
            "pycocoevalcap whole, without tokenizer and intervals",
            whole["peer"],
            wanted=PROCESS_WANTED,
            note=f"{whole['ptb']:.3g} s with the tokens of the Penn Treebank",
        ),
    ]


if __name__ == "__main__":
    main_of(measure, __doc__)

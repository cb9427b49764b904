"""Caption scores: ours against pycocoevalcap's own, in one run.

BLEU-1 to BLEU-4, ROUGE-L and CIDEr-D of 25,000 captions made of Something-Something's templates,
each as a text of words with spaces between; the numbers have to be equal.
"""

from __future__ import annotations

import importlib
import random
import time

from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.template import fill, placeholder_count
from taskgrain.metrics.bleu import bleu
from taskgrain.metrics.cider import cider_d
from taskgrain.metrics.ngrams import TokenPairs
from taskgrain.metrics.rouge import rouge_l

CLIPS, ROUNDS, EQUAL = 25_000, 3, 1e-9
OBJECTS = [f"thing{number}" for number in range(2_000)]
BEFORE = ["", "a ", "the ", "a red ", "a small blue "]


def make_captions() -> tuple[list[str], list[str]]:
    """Make what is so, and what was said of it: about half with the right template."""
    chance = random.Random(0)
    templates = sorted(BRACKETED.values())

    def caption(template: str) -> str:
        objects = [
            chance.choice(BEFORE) + OBJECTS[int(chance.paretovariate(0.7)) % len(OBJECTS)]
            for _ in range(placeholder_count(template))
        ]
        return fill(template, objects)

    of_clip = [chance.choice(templates) for _ in range(CLIPS)]
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


def main() -> None:
    true, said = make_captions()
    try:
        started = time.perf_counter()
        theirs = peer(true, said)
        seconds_of_peer = time.perf_counter() - started
    except ModuleNotFoundError:
        print("captions: the peer is missing; pip install pycocoevalcap==1.2")
        return
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        values = ours(true, said)
        seconds.append(time.perf_counter() - started)
    apart = max(abs(a - b) for a, b in zip(values, theirs, strict=True))
    assert apart < EQUAL, (values, theirs)
    print(
        f"captions: BLEU-1..4, ROUGE-L and CIDEr-D of {CLIPS} in {min(seconds):.2f} s against "
        f"{seconds_of_peer:.2f} s: {seconds_of_peer / min(seconds):.1f} times pycocoevalcap, "
        f"numbers equal to {apart:.0e}"
    )


if __name__ == "__main__":
    main()

"""The public names of a study, once: probes, controls, read-outs, intervals and metrics.

These are the names that a settings file may give and that the rows of `results.jsonl` hold. Each
stands here with the words that pages print for it, a control with what it is for, and a metric with
its unit. To add a probe: its name and words here, its class in `transfer.probes.PROBES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

ProbeName = Literal[
    "nearest-mean",
    "k-nn",
    "ridge",
    "rbf-ridge",
    "logistic-regression",
    "logistic-regression-cv",
    "mlp",
    "recurrent",
    "attentive",
]
"""The small models that are fitted on frozen features."""
PROBE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "nearest-mean": "nearest class mean",
        "k-nn": "nearest neighbours (cosine)",
        "ridge": "ridge",
        "rbf-ridge": "kernel ridge (RBF)",
        "logistic-regression": "logistic regression",
        "logistic-regression-cv": "logistic regression, penalty chosen on the support",
        "mlp": "small neural network",
        "recurrent": "recurrent probe",
        "attentive": "attentive pooling",
        # What a source itself answers with: no setting names these.
        "head": "the source's own head",
        "decoder": "the source's own decoder",
        "linear": "a linear read-out of the source's frozen features",
    }
)

Readout = Literal[
    "lstm-mean",
    "lstm-mean-deviation",
    "lstm-last",
    "lstm-steps",
    "channels-mean",
    "spatial-mean",
    "temporal-mean",
]
"""What of an encoder is tested: after the LSTM, or one channel or both before it."""
OWN_HEAD = "own-head"  # of a network that learned the target itself, and is read by no probe
FLAT: Literal["flat"] = "flat"  # of a control without an encoder: one vector a clip, read as it is
TARGET_NORM = "+target-norm"  # after a read-out's name: BatchNorm statistics of the target's clips
READOUTS: Mapping[str, str] = MappingProxyType(
    {
        "lstm-mean": "LSTM, mean of its steps",
        "lstm-mean-deviation": "LSTM, mean and deviation of its steps",
        "lstm-last": "LSTM, last step",
        "lstm-steps": "LSTM, all steps",
        "channels-mean": "both channels before the LSTM",
        "spatial-mean": "2D channel before the LSTM",
        "temporal-mean": "3D channel before the LSTM",
        OWN_HEAD: "its own head",
    }
)

ChosenControl = Literal[
    "majority",
    "random-encoder",
    "pixels",
    "motion-energy",
    "permuted-labels",
    "shuffled-time",
    "first-frame",
    "last-frame",
    "first-and-last-frame",
    "duration",
    "byte-size",
    "random-labels",
    "from-scratch",
]
"""The controls that a study may choose."""
Control = Literal[
    ChosenControl,
    "chance",
    "commonest-word",
    "commonest-caption",
    "same-category",
    "blind-decoder",
]
"""Those, and the floors that every study has."""


@dataclass(frozen=True, slots=True)
class ControlName:
    """A control's name in words, and what stands in place of a trained encoder."""

    words: str
    purpose: str = ""  # "" for the floors of captions


CONTROLS: Mapping[str, ControlName] = MappingProxyType(
    {
        "majority": ControlName(
            "most frequent category", "always answering the most frequent category, without looking"
        ),
        "random-encoder": ControlName("untrained encoder", "the same encoder before any training"),
        "pixels": ControlName("raw pixels", "the raw pixels of the frames"),
        "motion-energy": ControlName(
            "motion energy", "a grid of frame differences, with nothing learned"
        ),
        "permuted-labels": ControlName(
            "shuffled target labels", "the same features with the target's training labels shuffled"
        ),
        "shuffled-time": ControlName(
            "shuffled frames",
            "a trained encoder that reads the frames of each clip in a drawn order",
        ),
        "first-frame": ControlName("first frame", "the first frame alone, 12 x 12 pixels"),
        "last-frame": ControlName("last frame", "the last frame alone, 12 x 12 pixels"),
        "first-and-last-frame": ControlName(
            "first and last frame", "the two outer frames, 12 x 12 pixels"
        ),
        "duration": ControlName(
            "length of the clip", "how long a clip is, and nothing of what it shows"
        ),
        "byte-size": ControlName(
            "size of the file", "how large a file is, and nothing of what it shows"
        ),
        "random-labels": ControlName(
            "encoder trained on random labels",
            "the same encoder, trained on categories that were shuffled over the clips",
        ),
        "from-scratch": ControlName(
            "encoder and head trained on the target's support alone",
            "the same encoder with a head, trained on the target's support clips alone",
        ),
        "chance": ControlName("chance", "guessing"),
        "commonest-word": ControlName("true template, commonest word"),
        "commonest-caption": ControlName("commonest caption"),
        "same-category": ControlName("random caption of the same category"),
        "blind-decoder": ControlName("blind decoder"),
    }
)

IntervalKind = Literal[
    "clips", "draws", "seeds", "crossed", "episodes", "clip-pairs", "tasks", "recordings"
]
"""What an interval takes as random."""
INTERVAL_KINDS: tuple[IntervalKind, ...] = get_args(IntervalKind)
INTERVALS: Mapping[str, str] = MappingProxyType(
    {
        "clips": "over test clips, these encoders held fixed",
        "draws": "over support draws, these encoders and test clips held fixed",
        "seeds": "over encoder seeds",
        "crossed": "over seeds, support draws, test clips and classes together",
        "episodes": "over episodes, these encoders held fixed",
        "clip-pairs": "over pairs of test clips in two looks, these encoders held fixed",
        "tasks": "over tasks and encoder seeds together",
        "recordings": "over recordings",
    }
)

ClipMetric = Literal["top-1", "mean-per-class"]
"""How clips are weighed: each equally, or each class equally."""
CLIP_METRICS: tuple[ClipMetric, ...] = get_args(ClipMetric)
MEAN_OVER_TASKS = "mean-over-tasks"  # of a difference, over a target's tasks as a sample
SLOPE_OVER_TASKS = "slope-over-tasks"  # of a difference, for a unit of alignment gain
VARIANCE_OVER_TASKS = ("variance-of-tasks", "variance-of-seeds", "variance-of-tasks-and-seeds")
TaskKind = Literal["named", "kind-named", "unnamed", "between"]
"""What the finer of two sources' labels say of a task (docs/protocol.md, "Alignment")."""
TASK_KINDS: tuple[TaskKind, ...] = ("named", "kind-named", "unnamed")  # those that have a mean
EPISODE_METRIC = re.compile(r"([0-9]+)-way-accuracy")
"""Mean accuracy of N-way K-shot episodes, with N; a fraction too."""
DETECTABLE = "detectable-difference"
"""The smallest mean difference that this number of seeds would find with a power of .8."""
TREND = "trend"
"""The gain for each step from a classification level to the next finer one."""
ALIGNMENT = "alignment"  # how much of a task a source's labels determine, 0 to 1
ALIGNMENT_GAIN = "alignment-gain"  # that of one source less that of another
ALIGNMENT_GAIN_IF_SHOWN = "alignment-gain-if-shown"  # had the source shown every value of the task

Unit = Literal["percent", "points", "bits", "score", "of-one", "variance", "size"]
"""How a value is printed: a fraction as percent, a difference of fractions as signed points, a
score and an alignment as they are, a variance in squared points, a size as percent."""


def mean_over_kind(kind: str) -> str:
    """Name the metric of a mean over the tasks of one kind: "mean-over-unnamed-tasks"."""
    return f"mean-over-{kind}-tasks"


@dataclass(frozen=True, slots=True)
class MetricName:
    """A metric's name in words, how a narrow column is headed, its unit, and its range."""

    words: str
    column: str = ""  # "": the words
    unit: Unit = "percent"
    is_fraction: bool = True  # values within 0 and 1, differences within -1 and 1


def _free(words: str, unit: Unit = "percent", column: str = "") -> MetricName:
    """Return a metric whose values may be any finite number."""
    return MetricName(words, column, unit, is_fraction=False)


METRICS: Mapping[str, MetricName] = MappingProxyType(
    {
        "top-1": MetricName("top-1 accuracy", "top-1"),
        "top-5": MetricName("top-5 accuracy", "top-5"),
        "mean-per-class": MetricName("accuracy, mean over classes", "mean over classes"),
        "group-accuracy": MetricName("group accuracy", "group"),
        "exact-match": MetricName("caption exact match", "exact match"),
        "template-accuracy": MetricName("caption template right", "template"),
        "object-accuracy": MetricName("caption objects right", "objects"),
        "noun-accuracy": MetricName("caption nouns right", "nouns"),
        "modifier-accuracy": MetricName("caption modifiers right", "modifiers"),
        "unknown-rate": MetricName(
            "words of the captions that training never showed", "unknown words"
        ),
        "gain-last-epoch": _free("gain in the last epoch", "points", "last-epoch gain"),
        "entropy-bits": _free("label entropy, bits a clip", "bits", "label bits a clip"),
        # A name that ends in a hyphen stands for all that begin with it.
        "accuracy-at-": MetricName("accuracy at the level ", "at "),
        "categories-floor": MetricName(
            "categories, by each group's commonest", "categories, floor"
        ),
        "categories-linear": MetricName("categories, by a linear read-out", "categories, linear"),
        "contrastive": MetricName("contrastive groups", "contrastive"),
        "contrastive-floor": MetricName(
            "contrastive groups, by the commonest category", "contrastive, floor"
        ),
        "errors-within-groups": MetricName("errors within the true group", "errors in the group"),
        "errors-between-groups": MetricName("errors into other groups", "errors across groups"),
        "exact-match-at-": MetricName("exact match in the form ", "exact, "),
        "direction-errors": MetricName("captions with a wrong direction", "wrong direction"),
        **{f"bleu-{n}": MetricName(f"BLEU-{n}", unit="score") for n in range(1, 5)},
        "rouge-l": MetricName("ROUGE-L", unit="score"),
        "cider-d": _free("CIDEr-D", "score"),
        "length-ratio": _free("length ratio", "score"),
        "template-ranking": MetricName("template ranked first", "ranked first"),
        "template-ranking-top-5": MetricName("template ranked among five", "ranked in five"),
        "template-ranking-with-objects": MetricName(
            "template ranked first, by all words", "first, all words"
        ),
        TREND: _free("gain per level step", "points"),
        DETECTABLE: _free("smallest difference that would be found", "size"),
        MEAN_OVER_TASKS: _free("mean over tasks"),
        **{mean_over_kind(kind): _free(f"mean over {kind} tasks") for kind in TASK_KINDS},
        SLOPE_OVER_TASKS: _free("gain for a unit of alignment gain"),
        "variance-of-tasks": _free("variance of tasks", "variance"),
        "variance-of-seeds": _free("variance of encoder seeds", "variance"),
        "variance-of-tasks-and-seeds": _free("variance of tasks x encoder seeds", "variance"),
        ALIGNMENT: _free("alignment, 0 to 1", "of-one"),
        ALIGNMENT_GAIN: _free("alignment gain", "of-one"),
        ALIGNMENT_GAIN_IF_SHOWN: _free("alignment gain, had every value been shown", "of-one"),
    }
)


def metric_key(metric: str) -> str | None:
    """Return the key of `METRICS` that a metric's name belongs to; None for one not known here.

    `accuracy-at-ten-class` belongs to `accuracy-at-`, and `detectable-difference-top-1`, of an
    endpoint of another metric than the primary one, to `detectable-difference`.
    """
    if metric in METRICS:
        return metric
    if metric.startswith(f"{DETECTABLE}-"):
        return DETECTABLE
    return next((key for key in METRICS if key.endswith("-") and metric.startswith(key)), None)


def is_fraction(metric: str) -> bool:
    """Whether a metric's values are fractions, and its differences within -1 to 1."""
    if EPISODE_METRIC.fullmatch(metric):
        return True
    key = metric_key(metric)
    return key is not None and METRICS[key].is_fraction

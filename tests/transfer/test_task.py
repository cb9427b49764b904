from __future__ import annotations

import numpy as np
import pytest

from taskgrain.errors import ManifestError
from taskgrain.transfer.task import TargetTask, class_task, factor_task

TASK = TargetTask(
    name="kitchenware",
    class_names=("other", "using fork", "using knife"),
    support_ids=("s0", "s1", "s2"),
    support_labels=np.array([0, 1, 2]),
    query_ids=("q0", "q1", "q2"),
    query_labels=np.array([2, 1, 0]),
    failed=frozenset({"q1"}),
    truncated=frozenset({"s0"}),
)
MOTION = {"s0": "other", "s1": "using", "s2": "using", "q0": "using", "q1": "using", "q2": "other"}
TOOL = {"s0": None, "s1": "fork", "s2": "knife", "q0": "knife", "q1": "fork", "q2": None}


def test_a_factor_of_the_same_clips_is_a_task_of_its_own() -> None:
    motion = factor_task(TASK, factor="motion", value_of=MOTION)
    assert motion.name == "kitchenware/motion"
    assert motion.class_names == ("other", "using")
    assert motion.support_ids == TASK.support_ids
    assert motion.support_labels.tolist() == [0, 1, 1]
    assert motion.query_labels.tolist() == [1, 1, 0]
    assert (motion.failed, motion.truncated) == (TASK.failed, TASK.truncated)


def test_clips_without_the_factor_are_left_out() -> None:
    tools = factor_task(TASK, factor="object", value_of=TOOL)
    assert tools.support_ids == ("s1", "s2")
    assert tools.query_ids == ("q0", "q1")
    assert tools.query_labels.tolist() == [1, 0]


def test_a_clip_that_the_factors_forget_is_named() -> None:
    with pytest.raises(ManifestError, match="target kitchenware: no motion given for clip q2"):
        factor_task(TASK, factor="motion", value_of={k: v for k, v in MOTION.items() if k != "q2"})


def test_no_clip_is_both_learned_from_and_scored() -> None:
    with pytest.raises(ManifestError, match="clip a is there twice; scored clips must be unseen"):
        TargetTask("t", ("x",), ("a",), np.array([0]), ("a",), np.array([0]))


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels are int64 \(2,\); expected int64 \(1,\)"):
        TargetTask("t", ("x",), ("a",), np.array([0, 0]), ("b",), np.array([0]))
    with pytest.raises(ValueError, match="labels run from 1 to 1; expected 0 to 0"):
        TargetTask("t", ("x",), ("a",), np.array([1]), ("b",), np.array([0]))


def test_what_was_decoded_follows_the_order_of_the_clips() -> None:
    assert TASK.is_decoded.tolist() == [True, False, True]
    assert TASK.has_support.tolist() == [True, True, True]


def test_some_of_the_classes_are_a_task_of_their_own_clips() -> None:
    some = class_task(TASK, name="siblings", classes={"using knife", "other"})
    assert (some.name, some.class_names) == ("kitchenware/siblings", ("other", "using knife"))
    assert (some.support_ids, some.support_labels.tolist()) == (("s0", "s2"), [0, 1])
    assert (some.query_ids, some.query_labels.tolist()) == (("q0", "q2"), [1, 0])
    assert (some.failed, some.truncated) == (TASK.failed, TASK.truncated)

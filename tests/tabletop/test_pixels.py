"""The pixels of a seed are fixed: a change of these sums is a change of every dataset drawn."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from taskgrain.tabletop.dataset import World, WorldSpec, draw_clip, plan
from taskgrain.tabletop.film import Pixels

AVX2, FMA3 = 11, 12  # OpenCV's numbers of them
NUM_CLIPS = 6
PINNED: dict[tuple[World, int], str] = {
    ("tabletop", 0): "c5179c6fd1401ed9e49695af8a01297de46632d9d14f44a33d6ef5116d633b22",
    ("kitchenware", 0): "22ef2857201f0cb97c300f83f5c8b71c1336609e1c77ebab84cda4efc1bc43f6",
    ("kitchenware-far", 0): "cc9df2394c4867f8034619fa5c72fa9f8e7cfbe167e83c2f60d0aac26e68bac9",
    ("tabletop-tasks", 0): "6862b8236881575ab791eca400535f0bd494d2959e43f44f2cd32f7058604e8d",
    ("tabletop", 7): "c5819dbc2b66927f0e96bde1adc62ebe0e771cd465c1713f9757aef0f986d747",
    ("kitchenware", 7): "912358abf8e01bae94eb35bcfd4db0c933a82894a1126dbe6eaa7eb49ccac8b8",
    ("kitchenware-far", 7): "b3a5516e90cd68e01d538e40980861e35feb11b79d45f17ef9855d84af5dd96c",
    ("tabletop-tasks", 7): "3734cac6196a28e806888bfa2555aeb417af7d349cd4415d3e78847c7a4e1b2c",
}
"""World and seed -> SHA-256 of the pixels of the first NUM_CLIPS training clips."""

DRAW = """
import sys
import numpy as np
from taskgrain.tabletop.dataset import WorldSpec, draw_clip, plan

clips = plan(WorldSpec(world=sys.argv[1], seed=7, train=6, validation=0))
np.save(sys.argv[2], np.concatenate([draw_clip(clip.scene) for clip in clips]))
"""


def _drawn(world: World, seed: int, number: int) -> list[Pixels]:
    clips = plan(WorldSpec(world=world, seed=seed, train=number, validation=0))
    return [draw_clip(clip.scene) for clip in clips]


@pytest.mark.skipif(
    not all(cv2.checkHardwareSupport(feature) for feature in (AVX2, FMA3)),
    reason="without AVX2 and FMA one value in 100,000 differs: see the next test",
)
@pytest.mark.parametrize(("world", "seed"), PINNED)
def test_a_seed_draws_the_pixels_that_it_always_drew(world: World, seed: int) -> None:
    pixels = hashlib.sha256()
    for video in _drawn(world, seed, NUM_CLIPS):
        pixels.update(video.tobytes())
    assert pixels.hexdigest() == PINNED[world, seed]


@pytest.mark.parametrize("world", get_args(World))
def test_a_processor_without_avx2_draws_nearly_the_same_pixels(
    tmp_path: Path, world: World
) -> None:
    older = os.environ | {"OPENCV_CPU_DISABLE": "AVX2,FMA3"}
    file = tmp_path / "drawn.npy"
    subprocess.run([sys.executable, "-c", DRAW, world, str(file)], env=older, check=True)
    here, there = np.concatenate(_drawn(world, 7, 6)).astype(int), np.load(file).astype(int)
    assert np.abs(here - there).max() <= 2
    assert (here != there).mean() < 1e-4


def test_what_a_program_set_in_opencv_is_left_as_it_was() -> None:
    before = cv2.getNumThreads(), cv2.ipp.useIPP()
    try:
        for threads, ipp in ((2, True), (1, False)):
            cv2.setNumThreads(threads)
            cv2.ipp.setUseIPP(ipp)
            set_to = cv2.getNumThreads(), cv2.ipp.useIPP()
            first = _drawn("tabletop", 7, 1)[0]
            assert (cv2.getNumThreads(), cv2.ipp.useIPP()) == set_to
            assert np.array_equal(first, _drawn("tabletop", 7, 1)[0])
    finally:
        cv2.setNumThreads(before[0])
        cv2.ipp.setUseIPP(before[1])

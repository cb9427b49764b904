from __future__ import annotations

import platform
import resource

import pytest
import torch

from taskgrain.train.memory import kept_memory

NUM_BYTES = 48 * 2**20  # above the largest block that glibc keeps by itself


def page_faults_of_a_step() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.full((NUM_BYTES,), 1, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_used_again_inside_the_block_alone() -> None:
    # A small object that comes to lie in the freed block sends one step elsewhere, not all of them.
    with kept_memory():
        page_faults_of_a_step()
        assert min(page_faults_of_a_step() for _ in range(8)) < 10
    assert page_faults_of_a_step() > 10  # it was given back; huge pages: 24

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

STEPS = """
import resource
import torch
from taskgrain.train.memory import kept_memory

def page_faults_of_a_step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.full((48 * 2**20,), 1, dtype=torch.uint8)  # above the largest block that glibc keeps
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with kept_memory():
    page_faults_of_a_step()
    # A small object that comes to lie in the freed block sends one step elsewhere, not all.
    print(min(page_faults_of_a_step() for _ in range(8)))
print(page_faults_of_a_step())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_used_again_inside_the_block_alone() -> None:
    # In a process of its own: glibc cannot give back a heap that something else was mapped behind,
    # which in a process of a thousand tests comes about by chance.
    ran = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    inside, after = map(int, ran.stdout.split())
    assert inside < 10
    assert after > 10  # it was given back; with huge pages 24, else 12,288

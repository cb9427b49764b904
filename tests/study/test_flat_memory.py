from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "flat_memory.py"
MOST = 1.06  # times the memory, of four times the clips: 22 MB more, or 5 KB a clip


@pytest.mark.slow
def test_four_times_the_clips_take_hardly_more_memory_to_gather_and_to_extract() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "1500"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    grown = dict(re.findall(r"(\w+): .* clips, .*: ([\d.]+) times", done.stdout))
    assert set(grown) == {"gather", "extract"}
    assert all(float(times) <= MOST for times in grown.values()), done.stdout

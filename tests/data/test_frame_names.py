from __future__ import annotations

import hashlib
import random
import uuid
from pathlib import Path

import pytest

from taskgrain.data.frame_names import Series, choose_series, gap_in

# Names in the order of their frames.
IN_ORDER = {
    "eighths of a second": [f"frame_{n / 8}" for n in range(25)],
    "eighths without zeros": [f"{n / 8:g}" for n in range(25)],
    "rounded seconds": [str(round(n * 0.08, 2)) for n in range(25)],
    "seconds past ten": [f"t{round(9.5 + n / 12, 2)}s" for n in range(40)],
    "milliseconds": [f"{round(n * 1000 / 30, 3)}ms" for n in range(40)],
    "decimal commas": [f"{n / 8}".replace(".", ",") for n in range(25)],
    "underscores for points": [f"{n / 8}".replace(".", "_") for n in range(25)],
    "fixed decimals": [f"{n / 8:.3f}" for n in range(25)],
    "index and time": [f"{n}_{round(n / 12, 2)}" for n in range(30)],
    "scenes and frames": [f"{scene}.{n}" for scene in (1, 2) for n in range(1, 13)],
    "scenes and every third": [f"{scene}.{n}" for scene in (1, 2) for n in range(0, 30, 3)],
    "clips and frames": ["3_7", "3_12", "3_15", "3_22"],
    "past a hundred": [f"1.{n:02d}" for n in range(95, 105)],
    "dates": [f"2024.1.{n}" for n in range(8, 13)],
    "hexadecimal": [f"frame_{n:04x}" for n in range(40)],
    "hexadecimal capitals": [f"{n:X}" for n in range(40)],
    "hexadecimal steps": [f"0x{n:04x}" for n in range(0, 400, 33)],
    "hexadecimal and a word": [f"{n:02x}_rgb" for n in range(40)],
    "camera letters": ["1a", "1b", "2a", "2b", "10a"],
}


def choose(stems: list[str]) -> Series:
    """Choose among files that a folder lists in no order."""
    files = [Path(f"{stem}.png") for stem in stems]
    random.Random(0).shuffle(files)
    return choose_series(files)


@pytest.mark.parametrize("kind", IN_ORDER)
def test_frames_are_in_the_order_that_their_names_tell(kind: str) -> None:
    series = choose(IN_ORDER[kind])
    assert series.problem is None
    assert [path.stem for path in series.files] == IN_ORDER[kind]
    assert gap_in(series) is None


def test_times_of_an_unsteady_clock_are_in_order_and_have_no_gap() -> None:
    rng = random.Random(1)
    at = [1_700_000_000.123 + n / 30 + rng.uniform(-0.004, 0.004) for n in range(60)]
    for stems in ([str(each) for each in at], [f"{round(each * 1e6):x}" for each in at]):
        series = choose(stems)
        assert [path.stem for path in series.files] == stems
        assert gap_in(series) is None


@pytest.mark.parametrize("name", [lambda n: f"{n / 8}", lambda n: f"{n:04x}"])
def test_a_gap_in_seconds_or_hexadecimal_numbers_is_told(name: object) -> None:
    assert callable(name)
    numbers = [*range(12), *range(20, 30)]
    found = gap_in(choose([name(n) for n in numbers]))
    assert found == f"a gap in the numbering: {name(11)}.png is followed by {name(20)}.png"


@pytest.mark.parametrize(
    "number", [lambda n: f"{n / 8}", lambda n: f"{n:04x}", lambda n: f"{n:05d}"]
)
def test_flow_beside_frames_of_any_number_is_passed_over(number: object) -> None:
    assert callable(number)
    stems = [f"{word}_{number(n)}" for word in ("img", "flow_x") for n in range(20)]
    series = choose(stems)
    assert [path.stem for path in series.files] == stems[:20]
    assert series.note == "20 images beside the frames are passed over: flow_x_#"


DIGESTS = [hashlib.md5(bytes([n]), usedforsecurity=False).hexdigest() for n in range(12)]


@pytest.mark.parametrize(
    ("stems", "said"),
    [
        (DIGESTS, "tell no order"),
        ([str(uuid.UUID(digest)) for digest in DIGESTS], "tell no order"),
        (["1.3", "1.12", "1.35", "2.4"], "may be counters or decimals"),
        (["0.25", "0.5"], "may be counters or decimals"),
    ],
)
def test_names_that_tell_no_order_are_refused(stems: list[str], said: str) -> None:
    series = choose(stems)
    assert series.files == []
    assert said in (series.problem or "")


def test_two_images_of_one_name_are_refused() -> None:
    files = [Path(f"{number:05d}{suffix}") for number in range(5) for suffix in (".jpg", ".png")]
    series = choose_series(files)
    assert series.files == []
    assert "00000.jpg and 00000.png are called the same" in (series.problem or "")

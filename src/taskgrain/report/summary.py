"""The answer of a run as plain text, for the terminal."""

from __future__ import annotations

from pathlib import Path

from taskgrain.report.answer import answer
from taskgrain.report.controls import alarm_phrase
from taskgrain.report.learning import learned_phrase
from taskgrain.report.lookup import Lookup
from taskgrain.report.run_folder import read_run_folder
from taskgrain.report.words import plain


def summarise(run_dir: Path) -> str:
    """Return which sources learned, the run's answer and its limits, as the report begins.

    Where shuffled labels score above chance, a line says so before all else.

    Raises:
        ResultError: if results.jsonl is absent, or a file of the folder is malformed.
    """
    lookup = Lookup(read_run_folder(run_dir))
    found = answer(lookup)
    phrases = (learned_phrase(lookup), found.sentence, found.everywhere, *found.limits)
    text = " ".join(plain(phrase) for phrase in phrases if phrase)
    alarm = plain(alarm_phrase(lookup))
    return f"ALARM. {alarm}\n\n{text}" if alarm else text

"""The control that regroups the categories at random: as many bits, no meaning."""

from __future__ import annotations

from collections.abc import Iterator

from taskgrain.report.lookup import Lookup, Question
from taskgrain.report.run_folder import SourceFacts
from taskgrain.report.words import Phrase, interval_words, percent_number, points_number, span


def regrouped_phrases(lookup: Lookup, question: Question) -> Iterator[Phrase]:
    """Yield what each source that learned random groups scored, and its paired difference.

    Args:
        lookup: the rows of the run.
        question: where the controls are read.
    """
    for source in lookup.study.sources:
        row = lookup.measured(source.name, question)
        if not source.regrouped or row is None or row.value is None:
            continue
        phrase: Phrase = (
            f"“{source.name}” learned the categories in random groups, as many and as large as at "
            f"the level {source.classify}, drawn anew for every seed: a label of as many bits "
            "without its meaning. It scores ",
            percent_number(row.value),
        )
        if row.low is not None and row.high is not None:
            phrase = (*phrase, " (", *span(row.low, row.high), ")")
        yield (*phrase, *_difference(lookup, question, source))


def _difference(lookup: Lookup, question: Question, source: SourceFacts) -> Phrase:
    primary = lookup.study.primary
    if primary is None:
        return (".",)
    row = lookup.difference(source.name, primary.versus, question)
    if row is None or row.value is None:
        return (".",)
    phrase: Phrase = (f"; minus “{primary.versus}” that is ", points_number(row.value), " points")
    if row.low is not None and row.high is not None:
        interval = f", {interval_words(row.interval)})."
        return (*phrase, " (", *span(row.low, row.high, signed=True), interval)
    return (*phrase, ".")

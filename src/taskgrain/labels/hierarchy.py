"""A label hierarchy of the user's own: a table with a category a line and a level a column.

    category,verb,kind
    Pushing something,push,contact
    "Putting something, something and something on the table",put,contact

Levels run from fine to coarse. They nest: categories that share a name at one level share one at
every coarser level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from taskgrain.errors import TaxonomyError, list_problems
from taskgrain.labels.taxonomy import CATEGORY, level_name_problem
from taskgrain.labels.template import strip_brackets

Line = tuple[int, Sequence[str]]  # where a row begins, 1-based, and its cells without margins


def parse_hierarchy(lines: Sequence[Line], *, where: str) -> dict[str, dict[str, str]]:
    """Read a hierarchy: level -> category -> name, levels fine to coarse.

    Args:
        lines: of the table that are not blank, the first of them the header
            `category,LEVEL,LEVEL,...`; a category may be written with its brackets.
        where: path of the file, for the text of an error.

    Raises:
        TaxonomyError: naming every problem as where:line, up to ten: the header, a category twice,
            a cell too many, too few or empty, levels that do not nest.
    """
    if not lines:
        raise TaxonomyError(f"{where}:1: is empty; expected a header 'category,LEVEL,LEVEL,...'")
    (number, header), rows = lines[0], lines[1:]
    problems = [f"{where}:{number}: {problem}" for problem in _header_problems(header)]
    if problems:
        raise TaxonomyError(list_problems(problems))
    whole: list[Line] = []
    first: dict[str, int] = {}
    for number, cells in rows:
        problem = _row_problem(cells, header, first)
        if problem is None:
            first[strip_brackets(cells[0])] = number
            whole.append((number, (strip_brackets(cells[0]), *cells[1:])))
        else:
            problems.append(f"{where}:{number}: {problem}")
    if not rows:
        problems.append(f"{where}:{number + 1}: no category follows the header")
    problems += _nesting_problems(whole, header[1:], where)
    if problems:
        raise TaxonomyError(list_problems(problems))
    return {
        level: {cells[0]: cells[column] for _, cells in whole}
        for column, level in enumerate(header[1:], start=1)
    }


def check_nesting(levels: Mapping[str, Mapping[str, str]], *, where: str) -> None:
    """Check levels from a study file: level -> category -> name, levels fine to coarse.

    Raises:
        TaxonomyError: naming the categories that share a name at one level, and not at the next.
    """
    ladder = list(levels.items())
    problems: list[str] = []
    for (fine, fine_name_of), (coarse, coarse_name_of) in pairwise(ladder):
        seen: dict[str, tuple[str, str]] = {}
        for category, name in fine_name_of.items():
            if category not in coarse_name_of:  # `Taxonomy.with_levels` says so
                continue
            above = coarse_name_of[category]
            other, held = seen.setdefault(name, (category, above))
            if held != above:
                problems.append(
                    f"{where}: {fine} {name!r} is in {coarse} {held!r} with {other!r}, but in "
                    f"{above!r} with {category!r}; expected one"
                )
    if problems:
        raise TaxonomyError(list_problems(problems))


def _header_problems(header: Sequence[str]) -> list[str]:
    if header[0].lower() != CATEGORY or len(header) < 2:
        return [f"expected a header 'category,LEVEL,LEVEL,...', found {','.join(header)[:80]!r}"]
    levels = header[1:]
    problems = [problem for level in levels if (problem := level_name_problem(level)) is not None]
    twice = sorted({level for level in levels if levels.count(level) > 1})
    return problems + [f"level {level!r} is named twice" for level in twice]


def _row_problem(
    cells: Sequence[str], header: Sequence[str], first: Mapping[str, int]
) -> str | None:
    """Return what is wrong with a row; `first` is where each category stood before."""
    if len(cells) != len(header):
        return (
            f"{len(cells)} cells where the header has {len(header)}; a name with a comma needs "
            "quotes around it"
        )
    empty = [name for name, cell in zip(header, cells, strict=True) if not cell]
    if empty:
        return f"no name at {', '.join(empty)}"
    category = strip_brackets(cells[0])
    if category in first:
        return f"category {category!r} stands already in line {first[category]}"
    return None


def _nesting_problems(rows: Sequence[Line], levels: Sequence[str], where: str) -> list[str]:
    problems: list[tuple[int, str]] = []
    # Neighbouring levels suffice: what nests step by step nests over the whole ladder.
    for column, (fine, coarse) in enumerate(pairwise(levels), start=1):
        seen: dict[str, tuple[int, str]] = {}
        for number, cells in rows:
            name, above = cells[column], cells[column + 1]
            line, held = seen.setdefault(name, (number, above))
            if held != above:
                text = (
                    f"{fine} {name!r} is in {coarse} {above!r} here, and in {held!r} in line {line}"
                )
                problems.append((number, text))
    return [f"{where}:{number}: {text}" for number, text in sorted(problems)]

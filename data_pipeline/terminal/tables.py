"""Formats tables for a terminal: aligned, numbers to the right, units in the heading."""

import io
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

_COLUMNS = 1 << 20  # width of rich's console: wide enough that it never wraps or cuts a table


def format_table(headings: Sequence[str], rows: Sequence[Sequence[str | int | float]]) -> str:
    """Formats a table as lines.

    Aligns columns of numbers (with %, separators or an interval) to the right, and writes floats
    with one decimal. Raises ValueError if a row has another width than the headings.
    """
    cells = [[_format_cell(value) for value in row] for row in rows]
    for row in cells:
        if len(row) != len(headings):
            raise ValueError(f"a row of {len(row)} cells under {len(headings)} headings: {row}")
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for _, *column in zip(headings, *cells, strict=True):
        numeric = bool(column) and all(_is_number(cell) for cell in column if cell)
        grid.add_column(justify="right" if numeric else "left", no_wrap=True)
    grid.add_row(*map(Text, headings))
    grid.add_row(*(Rule(characters="─") for _ in headings))
    for row in cells:
        grid.add_row(*map(Text, row))
    return "\n".join(_plain_lines(grid))


def rank_counts(counts: Mapping[str, int], most: int | None = None) -> list[tuple[str, int]]:
    """Returns the `most` highest counts (None: all) with their names, equal ones by name.

    Counter.most_common leaves equal ones as they were counted, which a repeated run may do in
    another order.
    """
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]


def format_percent(share: float) -> str:
    """Formats 0.8642 as "86.4 %"."""
    return f"{100 * share:.1f} %"


def _plain_lines(grid: Table) -> Iterator[str]:
    """Yields the lines without colours, even if the environment asks for them."""
    console = Console(
        file=io.StringIO(), width=_COLUMNS, color_system=None, force_terminal=False, no_color=True
    )
    with console.capture() as capture:
        console.print(grid, crop=False, soft_wrap=False)
    return map(str.rstrip, capture.get().splitlines())


def _format_cell(value: str | int | float) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_number(cell: str) -> bool:
    return cell[0].isdigit() or (cell[0] in "-+" and cell[1:2].isdigit()) or cell in ("–", "-")

"""Tables for a terminal: aligned, numbers to the right, units in the heading."""

import unicodedata
from collections.abc import Sequence


def table(headings: Sequence[str], rows: Sequence[Sequence[str | int | float]]) -> str:
    """Lines of a table: columns that hold only numbers (with %, separators or an interval) stand
    to the right. Floats are shown with one decimal. Raises ValueError for a row of another width.
    """
    cells = [[_shown(value) for value in row] for row in rows]
    for row in cells:
        if len(row) != len(headings):
            raise ValueError(f"a row of {len(row)} cells under {len(headings)} headings: {row}")
    columns = list(zip(headings, *cells, strict=True))
    widths = [max(map(_width, column)) for column in columns]
    numeric = [
        bool(rows) and all(_is_number(cell) for cell in column[1:] if cell) for column in columns
    ]

    def line(row: Sequence[str]) -> str:
        padded = (
            " " * (width - _width(cell)) + cell if right else cell + " " * (width - _width(cell))
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    rule = "  ".join("─" * width for width in widths)
    return "\n".join([line(headings), rule, *map(line, cells)])


def percent(share: float) -> str:
    """0.8642 as "86.4 %"."""
    return f"{100 * share:.1f} %"


def _shown(value: str | int | float) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_number(cell: str) -> bool:
    return cell[0].isdigit() or (cell[0] in "-+" and cell[1:2].isdigit()) or cell in ("–", "-")


def _width(text: str) -> int:
    """Columns that ``text`` takes in a terminal."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )

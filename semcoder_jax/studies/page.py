"""Writes a study's report: a Markdown page whose numbers are computed, with figures beside it.

Everything above the marker is written anew each time; below it stands what people wrote after
looking at the numbers, which stays.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence

from data_pipeline.files import AnyPath, is_remote, write_text
from semcoder_jax.errors import UserError

FIGURES = "figures"
MARKER = "<!-- written by hand from here on; `semcoder study` keeps it -->"
_NOTHING_YET = "## What follows, and what does not\n\nNot written yet.\n"


class PageError(UserError):
    """Raised for a page that is not the report of a study."""


@dataclasses.dataclass(frozen=True)
class Report:
    """The computed part of a page.

    title: heading of the page
    body: Markdown; names figures as `figures/NAME.svg`
    figures: SVG text by NAME
    """

    title: str
    body: str
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)


def write_report(report: Report, head: str, folder: AnyPath, name: str) -> AnyPath:
    """Writes FOLDER/NAME.md and its figures, keeps the hand-written part, returns the page's path.

    head: what stands between title and body: command, machine and time. Raises PageError if the
    page exists and has no marker, for somebody else wrote it.
    """
    page = folder / f"{name}.md"
    kept = _hand_written(page)
    for figure, text in report.figures.items():
        path = folder / FIGURES / f"{figure}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    parts = (f"# {report.title}", head.strip(), report.body.strip(), MARKER, kept.strip())
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(page, "\n\n".join(parts) + "\n")
    return page


def check_page(folder: AnyPath, name: str) -> None:
    """Raises a UserError if FOLDER/NAME.md cannot be the page of a report."""
    if not is_remote(folder):
        first = next(path for path in (folder, *folder.parents) if path.exists())
        if not first.is_dir():
            raise PageError(f"{folder}: expected a folder for the report; {first} is a file")
        if not os.access(first, os.W_OK):
            raise PageError(f"{folder}: the report cannot be written there: permission denied")
    _hand_written(folder / f"{name}.md")


def _hand_written(page: AnyPath) -> str:
    if not page.exists():
        return _NOTHING_YET
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PageError(f"{page}: cannot read the report that is there: {error}") from None
    _, marker, kept = text.partition(MARKER)
    if not marker:
        raise PageError(f"{page}: expected the report of a study, which has a line {MARKER!r}")
    return kept


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table: the first column to the left, all others to the right."""
    rules = ["---", *("--:" for _ in headings[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows))


def figure_line(name: str, caption: str) -> str:
    """Returns the Markdown that shows a figure of the report."""
    return f"![{caption}]({FIGURES}/{name}.svg)"

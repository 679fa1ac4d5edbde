"""Tests that a report keeps what people wrote, and that figures are the same bytes each time."""

import xml.etree.ElementTree as ElementTree

import pytest

from semcoder_jax.studies.page import (
    MARKER,
    PageError,
    Report,
    figure_line,
    markdown_table,
    write_report,
)
from semcoder_jax.studies.plots import Panel, Series, draw

SVG = "{http://www.w3.org/2000/svg}"


def test_a_page_written_again_keeps_the_hand_written_part(tmp_path):
    first = Report("Forms", "ninety", {"curve": "<svg/>"})
    page = write_report(first, "command", tmp_path, "forms")
    page.write_text(page.read_text().replace("Not written yet.", "Monologues pay."))
    write_report(Report("Forms", "eighty"), "command", tmp_path, "forms")
    text = page.read_text()
    assert "eighty" in text and "ninety" not in text and text.count(MARKER) == 1
    assert text.endswith("Monologues pay.\n")
    assert (tmp_path / "figures" / "curve.svg").read_text() == "<svg/>"


def test_a_page_of_somebody_else_is_not_overwritten(tmp_path):
    (tmp_path / "forms.md").write_text("mine")
    with pytest.raises(PageError, match="expected the report of a study"):
        write_report(Report("Forms", ""), "", tmp_path, "forms")
    assert (tmp_path / "forms.md").read_text() == "mine"


def test_a_table_and_a_figure_are_markdown():
    table = markdown_table(["form", "right"], [["direct", "26.5 %"]])
    assert table == "| form | right |\n| --- | --: |\n| direct | 26.5 % |"
    assert figure_line("curve", "Right answers") == "![Right answers](figures/curve.svg)"


def test_figures_show_text_and_are_the_same_bytes_each_time():
    pytest.importorskip("matplotlib", reason="needs the study extra: matplotlib")
    lines = Panel(
        [Series("direct", [1, 2], [0.1, 0.2], [0.0, 0.1], [0.2, 0.3]), Series("told", [1], [0.5])],
        "Learning",
        "steps",
        "right",
        log_x=True,
    )
    bars = Panel(
        [Series("direct", ["easy", "hard"], [0.4, 0.1], [0.3, 0.0], [0.5, 0.2])],
        "Levels",
        "level",
        "right",
        bars=True,
    )
    svg = draw([lines, bars])
    assert svg == draw([lines, bars])
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    texts = {"".join(each.itertext()).strip() for each in root.iter(f"{SVG}text")}
    assert {"direct", "told", "Learning", "Levels", "easy", "hard"} <= texts
    assert "dc:date" not in svg

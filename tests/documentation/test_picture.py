"""Tests that README's picture shows the run as plain Python saw it, and the right marks."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from data_pipeline.pyx.prompts import FIRST_LABEL
from docs import picture
from tests.support.documented_commands import REPOSITORY
from tests.support.plain_recorder import record_plainly

SVG = "{http://www.w3.org/2000/svg}"
TOLD = json.loads(picture.SOURCE.read_text(encoding="utf-8"))
FILES = [f"told_run_{name}.svg" for name in ("light", "dark")]


def texts(name: str, group: str) -> list[tuple[int, str]]:
    """(y, text) of a group of a picture, in order."""
    root = ElementTree.parse(REPOSITORY / "docs" / name).getroot()
    [node] = [each for each in root.iter(f"{SVG}g") if each.get("id") == group]
    return [(int(text.get("y")), text.text or "") for text in node.iter(f"{SVG}text")]


def rows(name: str, group: str) -> list[list[str]]:
    found: dict[int, list[str]] = {}
    for y, text in texts(name, group):
        found.setdefault(y, []).append(text)
    return list(found.values())


@pytest.mark.parametrize("name", FILES)
def test_the_steps_are_those_that_a_debugger_sees(name):
    """Lines in order, and after each the variables that it changed."""
    [frame] = record_plainly(TOLD["program"], TOLD["call"])
    source = TOLD["program"].split("\n")
    states = [state for _, state in frame.steps] + [frame.steps[-1][1]]
    expected = [["L5", f"▶ f({', '.join(f'{n} = {v}' for n, v in states[0].items())})", ""]]
    for (line, before), after in zip(frame.steps, states[1:], strict=True):
        changed = [f"{n} = {v}" for n, v in after.items() if before.get(n) != v]
        expected.append([f"L{line + FIRST_LABEL - 1}", source[line - 1], ", ".join(changed)])
    last = expected[-1][0]
    assert rows(name, "run") == [*expected, [last, f"◀ return {frame.value}", ""]]


@pytest.mark.parametrize("name", FILES)
def test_the_marks_are_those_worked_out_by_hand(name):
    """f(s='ac'): b is 2, t is 'acc', c is 2 + 4 = 6 and is returned; the words say 4 from there."""
    shown = rows(name, "words")
    words = TOLD["words"].split("\n")
    assert shown == [
        ["✓", words[0]],
        ["✓", words[1]],
        ["✗", words[2]], ["in the run: c=6"],
        ["✗", words[3]], ["in the run: c=6"],
        [words[4]],
        [words[5]],
        ["✗", words[6]], ["in the run: 6"],
    ]  # fmt: skip


def test_the_pictures_are_drawn_from_the_run(tmp_path):
    assert picture.main(["--check"]) == 0
    changed = tmp_path / "told_run.json"
    changed.write_text(json.dumps({**TOLD, "call": "f(s='abc')"}))
    drawn = picture.draw(changed)
    assert "b = 3" in drawn["told_run_light.svg"] and "c = 7" in drawn["told_run_dark.svg"]


def test_pictures_load_nothing_and_are_small():
    for name in FILES:
        content = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
        assert "href" not in content and "url(" not in content and "<script" not in content
        assert len(content) < 8000

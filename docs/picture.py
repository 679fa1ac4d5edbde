"""Draws the picture of README: a real run beside words about it, with the verifier's marks.

    python -m docs.picture            # rewrites docs/told_run_light.svg and docs/told_run_dark.svg
    python -m docs.picture --check    # exits with 1 where they do not show the run as it is

docs/told_run.json holds program, call and words. The call is traced and the words are verified anew
each time; nothing of the run is written down there.
"""

import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.pages.rendering import render_page
from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.tracing import Event, Trace
from data_pipeline.verify import LINE_MARKS, Claim, line_verdicts, trace_of, verify_trace

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "told_run.json"
_TEMPLATE = FOLDER / "told_run.svg.j2"
_STYLE = FOLDER.parent / "data_pipeline" / "pages" / "base.css"
_FLOW = "flow"  # that a later line runs next says less than a wrong value


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of the run: the label of its line, its code, what it changed; `call` frames it."""

    label: str
    code: str
    effect: str
    frames: bool


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the words, its verdict ("" without claims) and what the run says instead."""

    text: str
    verdict: str
    truth: str

    @property
    def mark(self) -> str:
        return LINE_MARKS.get(self.verdict, "")

    @property
    def colour(self) -> str:
        """Names the mark's variable in the style of our pages."""
        return {"confirmed": "good", "contradicted": "bad"}.get(self.verdict, "unknown")


def steps(trace: Trace) -> list[Step]:
    """Returns the steps of a run of one function."""
    source = trace.program.split("\n")
    return [_step(event, source) for event in trace.events]


def _step(event: Event, source: list[str]) -> Step:
    label = f"L{event.line + FIRST_LABEL - 1}"
    changed = ", ".join(f"{name} = {text}" for name, text in event.changed.items())
    if event.kind == "call":
        return Step(label, f"▶ {event.function}({changed})", "", True)
    if event.kind == "return":
        return Step(label, f"◀ return {event.value}", "", True)
    taken = {None: "", True: "✓ ", False: "✗ "}[event.branch]
    return Step(label, source[event.line - 1], f"{taken}{changed}", False)


def lines(trace: Trace, words: str) -> list[Line]:
    """Returns the lines of the words with the verifier's marks."""
    claims = verify_trace(trace, words)
    verdicts = line_verdicts(claims)
    return [
        Line(text, verdicts.get(number, ""), "; ".join(_truths(claims, number)))
        for number, text in enumerate(words.split("\n"), 1)
    ]


def _truths(claims: list[Claim], number: int) -> Iterator[str]:
    wrong = [c for c in claims if c.line == number and c.verdict == "contradicted"]
    for claim in [c for c in wrong if c.kind != _FLOW] or wrong:
        yield f"in the run: {claim.truth}"


def palettes() -> dict[str, dict[str, str]]:
    """Returns the colours of our pages: an image cannot take those of the page around it."""
    blocks = re.findall(r":root \{(.*?)\}", _STYLE.read_text(encoding="utf-8"), re.S)
    light, dark = (dict(re.findall(r"--([\w-]+): ([^;]+);", block)) for block in blocks[:2])
    return {"light": light, "dark": light | dark}


def draw(source: Path = SOURCE) -> dict[str, str]:
    """Returns file name -> picture, light and dark."""
    told = json.loads(source.read_text(encoding="utf-8"))
    trace = trace_of(told["program"], told["call"])  # a program of ours
    ran, words = steps(trace), lines(trace, told["words"])
    rows = max(len(ran), len(words) + sum(bool(line.truth) for line in words))
    return {
        f"{source.stem}_{name}.svg": render_page(
            _TEMPLATE, colour=palette, steps=ran, lines=words, rows=rows, author=told["author"],
            call=told["call"],
        )
        + "\n"
        for name, palette in palettes().items()
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 1 if --check finds other pictures."""
    arguments = sys.argv[1:] if argv is None else argv
    pictures = {FOLDER / name: text for name, text in draw().items()}
    if "--check" in arguments:
        stale = [p for p, text in pictures.items() if p.read_text(encoding="utf-8") != text]
        for path in stale:
            print(f"{path.name} does not show the run as it is: run python -m docs.picture")
        return int(bool(stale))
    for path, text in pictures.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Reads what a record asks, and the tests that judge programs, from the text of its prompt."""

import dataclasses
from collections.abc import Iterable, Mapping

from data_pipeline.pyx.record_text import (
    RefutedRecordError,
    expectations,
    fenced_code,
    split_assertion,
    split_block,
    text_after,
)
from data_pipeline.pyx.records import KINDS, Record

Test = tuple[str, str]
"""A call and the literal that it returns."""
MONOLOGUE, ANSWER = "[MONOLOGUE]", "[ANSWER]"
_MOST_TESTS = 8  # of a program that is asked for in words


@dataclasses.dataclass(frozen=True)
class Question:
    """Holds what a record asks.

    Attributes:
      kind: "forward" (the value of `call`), "backward" (a call of `function` that returns
        `output`), "code" or "refine" (a program that passes `tests`); "other" has no reward by
        truth.
      opening: what the prompt opens for the answer: "[MONOLOGUE]\\n", "[ANSWER]\\n" or "".
    """

    kind: str
    program: str = ""
    call: str = ""
    function: str = ""
    output: str = ""
    opening: str = ""
    tests: tuple[Test, ...] = ()

    @property
    def asks_monologue(self) -> bool:
        return self.opening.startswith(MONOLOGUE)


def read_question(record: Record, tests: Mapping[str, tuple[Test, ...]] | None = None) -> Question:
    """Returns what `record` asks; `tests` by seed are those of `hidden_tests`.

    Raises RefutedRecordError if its prompt is not in the expected form.
    """
    field = record.prompt_field
    match record.kind:
        case "fwd_mnl":
            program, asked = split_block(field)
            call = asked.removeprefix("assert ").removesuffix(" == ??")
            return Question("forward", program, call, opening=_opening(field))
        case "bwd_mnl":
            if field.startswith("PYTHON]"):  # as upstream spells it
                field = f"[{field}"
            program, asked = split_block(field)
            function, _, output = asked.removeprefix("assert ").partition("(??) == ")
            opening = _opening(field)
            return Question("backward", program, "", function, output, opening)
        case "nl":
            return _code_question(record, (tests or {}).get(_seed_of(record.id), ()))
        case "fault":
            failed = fenced_code(text_after(field, "### Failed Test\n"), "a failed test")
            test = next((line for line in failed.split("\n") if line.startswith("assert ")), "")
            call, output = split_assertion(test)
            return Question("refine", function=_entry(call), tests=((call, output),))
    return Question("other")


def hidden_tests(records: Iterable[Record]) -> dict[str, tuple[Test, ...]]:
    """Returns the runs that forward records tell of each seed: hidden tests of its program."""
    found: dict[str, dict[Test, None]] = {}
    for record in records:
        if record.kind != "fwd_mnl":
            continue
        try:
            [run] = expectations(record)
        except RefutedRecordError:
            continue  # asks for a direct answer, or tells another call
        found.setdefault(_seed_of(record.id), {})[run.call, run.output] = None
    return {seed: tuple(tests)[:_MOST_TESTS] for seed, tests in found.items()}


def _code_question(record: Record, hidden: tuple[Test, ...]) -> Question:
    try:
        shown = (split_assertion(fenced_code(record.prompt_field, "an assertion")),)
    except RefutedRecordError:
        shown = ()
    tests = tuple(dict.fromkeys((*shown, *hidden)))
    if not tests:
        return Question("other")
    return Question("code", function=_entry(tests[0][0]), tests=tests)


def _opening(field: str) -> str:
    return field.rpartition("[/PYTHON]\n")[2].strip() + "\n"


def _entry(call: str) -> str:
    return call.partition("(")[0].partition(".")[0]


def _seed_of(record_id: str) -> str:
    """Returns "108213" for "fwd_mnl_108213_ipt9" and "nl_108213_ipt0"."""
    for kind in KINDS:
        record_id = record_id.removeprefix(f"{kind}_")
    return record_id.rpartition("_ipt")[0] or record_id

"""Tests parts of the data build: ids, splits, counts, and the recheck of records against runs."""

import json
import os
import re
import time
from collections import Counter
from dataclasses import asdict
from html.parser import HTMLParser

import pytest

from data_pipeline.builder import BuildError, BuildOptions
from data_pipeline.builder.deadline import BoundedWorker, TookTooLong
from data_pipeline.builder.expectations import expectations, recheck_all
from data_pipeline.builder.held_out import TRAIN
from data_pipeline.builder.page import page
from data_pipeline.builder.report import Report, summary
from data_pipeline.builder.rows import record_id, seed_rows
from data_pipeline.builder.tally import Tally, quantile
from data_pipeline.execution.service import Sandbox
from data_pipeline.pyx.prompts import backward_field, code_field, forward_field, refine_field
from data_pipeline.pyx.records import RefineRecord, make_record
from data_pipeline.seeds import Seed

CODE = "def f(x, *, by=1):\n    y = x + by\n    return [y, 'a == b']"
BUGGY = "def f(x, *, by=1):\n    y = x - by\n    return [y, 'a == b']"
CALL, OUTPUT = "f(3, by=2)", "[5, 'a == b']"


def answered(output: str, call: str = CALL) -> str:
    return f"[MONOLOGUE]-like text\n[/MONOLOGUE]\n\n[ANSWER]\nassert {call} == {output}\n[/ANSWER]"


def forward(output: str):
    return make_record("fwd_mnl_1_ipt1", "fwd_mnl", forward_field(CODE, CALL), answered(output))


def backward(output: str, call: str = CALL):
    field = backward_field(CODE, output, function="f")
    return make_record("bwd_mnl_1_ipt1", "bwd_mnl", field, answered(output, call))


def description(code: str, output: str):
    field = code_field("Add two numbers.", f"assert {CALL} == {output}")
    return make_record("nl_1", "nl", field, f"```python\n{code}\n```")


def repair(buggy: str, refined: str):
    field = refine_field("Add two numbers.", buggy, f"assert {CALL} == {OUTPUT}\n# got [1, 'a']")
    return RefineRecord(
        "fault_1", field, f"It is wrong.\n\n[Refined]\n```python\n{refined}\n```\n[/Refined]"
    )


def test_ids_have_upstreams_form_and_hang_on_the_call_alone():
    name = record_id("fwd_mnl", "0123456789ab", CALL)
    assert re.fullmatch(r"fwd_mnl_0123456789ab_ipt\d+", name)
    assert name == record_id("fwd_mnl", "0123456789ab", CALL)
    assert name != record_id("fwd_mnl", "0123456789ab", "f(4)")
    assert record_id("nl", "0123456789ab") == "nl_0123456789ab"


@pytest.mark.parametrize(
    ("parameters", "call", "wanted"), [("", "best()", False), ("n=3", "best(2)", True)]
)
def test_no_input_is_asked_for_where_the_function_takes_none(parameters, call, wanted, sandbox):
    n = "n" if parameters else "3"
    code = f"def best({parameters}):\n    rows = [k * k for k in range({n})]\n    return rows[-1]\n"
    rows = seed_rows(Seed("0" * 12, "best", code, "", (call,), (), "pack/a.py:1"), sandbox,
                     BuildOptions(("pack",), inputs=2, faults=0))  # fmt: skip
    kinds = Counter(record.kind for record in rows.records)
    assert kinds["fwd_mnl"] and bool(kinds["bwd_mnl"]) == wanted
    refused = rows.tally.get("monologues refused")
    assert refused["bwd_mnl: the function takes no argument"] == (0 if wanted else 1)


def test_counts_add_up_in_any_order():
    parts = []
    for number in range(6):
        tally = Tally()
        tally.count("runs", "kept", number + 1)
        tally.record("nl", TRAIN, 10 * number, f"{number:02d}", {"id": str(number)})
        parts.append(tally)
    totals = []
    for order in (parts, parts[::-1]):
        total = Tally()
        for part in order:
            total.add(Tally.from_json(part.to_json()))
        totals.append(total)
    assert totals[0].to_json() == totals[1].to_json()
    assert totals[0].get("runs") == Counter(kept=21)
    assert totals[0].get("records") == Counter({"nl/train": 6})
    assert [rank for rank, _ in totals[0].examples["nl"]] == ["00", "01"]
    assert quantile(totals[0].lengths["nl"], 0.5) == 20
    assert quantile(Counter(), 0.5) == 0


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as opened:
        yield opened


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (forward(OUTPUT), None),
        (forward("[6, 'a == b']"), "the run: [5, 'a == b']"),
        (forward("[5.0, 'a == b']"), "the run: [5, 'a == b']"),  # of another type
        (forward("g(1)"), "returns g(1)"),  # no literal: never run
        (backward(OUTPUT), None),
        (backward(OUTPUT, "f(4)"), None),  # any input that gives it
        (backward(OUTPUT, "f(5)"), "the run: [6, 'a == b']"),
        (backward(OUTPUT, "g(5)"), "assert f(??)"),
        (description(CODE, OUTPUT), None),
        (description(BUGGY, OUTPUT), "the run: [1, 'a == b']"),
        (description("def f(x, by):\n    raise ValueError('no')", OUTPUT), "ValueError"),
        (repair(BUGGY, CODE), None),
        (repair(CODE, CODE), "does not return"),  # nothing was wrong
        (repair(BUGGY, BUGGY), "the run: [1, 'a == b']"),
        (make_record("nl_1", "nl", "Add.", f"```python\n{CODE}\n```"), "a description with an"),
    ],
)  # fmt: skip
def test_a_record_holds_or_it_is_told_what_the_run_gives(record, why, sandbox):
    (found,) = recheck_all([record], sandbox)
    assert (found is None) if why is None else (why in found)


def test_program_and_call_come_out_of_the_prompt_as_they_went_in():
    (said,) = expectations(forward(OUTPUT))
    assert (said.call, said.output) == (CALL, OUTPUT)
    scope: dict = {}
    exec(said.program, scope)  # labels are comments
    assert scope["f"](3, by=2) == [5, "a == b"]


def endless_at_zero():
    """Work for `BoundedWorker`: hangs at 0, fails at 1, waits at 2, else counts the items."""
    done = []

    def work(item):
        while item == 0:
            pass
        if item == 1:
            raise KeyError("no such item")
        time.sleep(0.3 * (item == 2))  # waiting is not computing
        done.append(item)
        return list(done)

    return work


def test_work_without_an_end_is_ended_and_other_work_is_not():
    work = BoundedWorker(endless_at_zero, 0.2)
    assert work(2) == [2]
    assert work(3) == [2, 3]
    with pytest.raises(TookTooLong, match=r"over 0\.2 s"):
        work(0)
    assert work(4) == [4]  # another process has taken its place
    with pytest.raises(KeyError, match="no such item"):
        work(1)
    assert work(5) == [4, 5]
    work.close()


def reading_environment():
    return os.environ.get


def test_each_worker_has_the_environment_of_its_start(monkeypatch):
    """Workers are forked from a process that has that of the first one's start."""
    for value in ("one", "two"):
        monkeypatch.setenv("SEMCODER_TESTED", value)
        work = BoundedWorker(reading_environment)
        assert work("SEMCODER_TESTED") == value
        work.close()
    monkeypatch.delenv("SEMCODER_TESTED")
    work = BoundedWorker(reading_environment)
    assert work("SEMCODER_TESTED") is None
    work.close()


def test_a_histogram_shows_every_record_once():
    tally = Tally()
    for number, length in enumerate([10] * 5 + [20] * 3 + [1000]):
        row = {"id": f"nl_{number}", "nl": "", "response": "", "origin": "a.py:1"}
        tally.record("nl", TRAIN, length, f"{number:02}", row)
    drawn = page(report_of(tally))
    counts = [int(n) for n in re.findall(r": (\d+) records</title>", drawn)]
    assert sum(counts) == 9
    assert "median 10" in drawn


class _Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = set(), set()
        self.text = self.style = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        if self.lasttag == "style":
            self.style += data
        else:
            self.text += data


def report_of(tally: Tally) -> Report:
    options = asdict(BuildOptions(sources=("some/where/<b>",)))
    return Report("out", "0" * 64, options, tally, {"rows": 2.0}, 0)


def test_the_report_escapes_what_programs_say_and_fetches_nothing():
    tally = Tally()
    tally.count("functions", "found", 4)
    tally.count("functions refused", "<script>alert(1)</script>", 2)
    row = {"id": "nl_1", "nl": "<img src=x>", "response": "</pre><b>", "origin": "a.py:1"}
    tally.record("nl", TRAIN, 12, "00", row)
    text = page(report_of(tally))
    seen = _Seen()
    seen.feed(text)
    assert not seen.tags & {"script", "img", "link", "iframe", "object"}
    assert not seen.attributes & {"src", "href", "onload", "onerror"}
    assert not re.search(r"url\(|@import", seen.style)
    assert "<img src=x>" in seen.text
    assert "<script>alert(1)</script>" in seen.text
    assert "some/where" not in text  # a page is handed on, folders are not


def test_the_summary_says_what_was_counted():
    tally = Tally()
    tally.count("functions", "found", 4)
    tally.count("runs refused", "raised TypeError", 7)
    tally.record("nl", TRAIN, 12, "00", {"id": "nl_1"})
    report = report_of(tally)
    text = summary(report)
    assert re.search(r"description → code +1 +0 +12 +12 +12", text)
    assert re.search(r"runs not kept +7 +raised TypeError 7", text)
    assert "2.0 functions/s, 0.5 records/s" in text
    again = Report.from_json(report.to_json())
    assert summary(again) == text
    assert json.loads(again.to_json()) == json.loads(report.to_json())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": ()}, "--source: expected"),
        ({"limit": 0}, "--limit: expected at least 1; got 0"),
        ({"heldout_share": 1.0}, "--heldout_share: expected 0 up to 1; got 1.0"),
        ({"workers": 0}, "--workers: expected at least 1"),
        ({"tier": "Z"}, "--tier: expected A, B or C"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(BuildError, match=re.escape(message)):
        BuildOptions(**{"sources": ("x",), **options})

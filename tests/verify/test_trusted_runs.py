"""Tests that the command ends trusted calls that do not end by themselves."""

import json
import threading
import time

import pytest

from data_pipeline.commands.verify import main
from data_pipeline.tracing import trace_call
from data_pipeline.tracing.deadline import limit_run
from data_pipeline.tracing.recorder import RunStopped

ENDLESS = "def f(n):\n    while n != 3:\n        n -= 1\n    return n\n"
DOUBLES = "def f(n):\n    m = n * 2\n    return m\n"


def verify_rows(tmp_path, capsys, rows):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    main([f"--jsonl={file}", "--trusted"])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_endless_call_ends_and_the_next_row_is_judged(tmp_path, capsys):
    text = "### Execution Simulation\n[L6]: `n` is 1."
    answer = "### Reverse Deduction\n\n[ANSWER]\nassert f(1) == 3\n[/ANSWER]"
    rows = [
        {"id": "endless", "program": ENDLESS, "call": "f(1)", "monologue": text},
        {"id": "witness", "program": ENDLESS, "monologue": answer},
        {"id": "ends", "program": DOUBLES, "call": "f(4)",
         "monologue": "### Execution Simulation\n[L6]: `m` is 8."},
    ]  # fmt: skip
    endless, witness, ends = verify_rows(tmp_path, capsys, rows)
    assert endless["lines"][1]["verdict"] == "confirmed"  # of the first steps
    assert witness["lines"][3]["verdict"] != "confirmed"  # it never returns 3
    assert ends["lines"][1]["verdict"] == "confirmed"


def test_ids_may_be_whole_numbers_and_come_back_as_they_are(tmp_path, capsys):
    text = "### Execution Simulation\n[L6]: `m` is 8."
    one = {"program": DOUBLES, "call": "f(4)", "monologue": text}
    ids = ["7", 7, -1, 10**30, ""]
    rows = verify_rows(tmp_path, capsys, [{"id": each} | one for each in ids])
    assert [row["id"] for row in rows] == ids and [type(row["id"]) for row in rows] == [
        type(each) for each in ids
    ]
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"id": 7, "line": 1, "label": "true"}\n')
    assert main([f"--jsonl={tmp_path / 'rows.jsonl'}", f"--labels={labels}", "--trusted"]) == 0
    assert "(1/1)" in capsys.readouterr().out
    for other in (7.0, True, None, [7]):
        verify_rows(tmp_path, capsys, [{"id": other} | one])
        assert main([f"--jsonl={tmp_path / 'rows.jsonl'}"]) == 2
        assert "field 'id': expected text or a whole number" in capsys.readouterr().err


def test_a_module_that_never_ends_is_one_line(tmp_path, capsys):
    program = "while True:\n    pass\ndef f(n):\n    return n\n"
    [row] = verify_rows(
        tmp_path, capsys, [{"id": "a", "program": program, "call": "f(1)", "monologue": "x"}]
    )
    assert row["error"].startswith("the run was stopped: ") and row["error"].endswith(" limit")


ROW = {"id": "a", "program": DOUBLES, "call": "f(4)", "monologue": "[L6]: `m` is 8.\nx"}


@pytest.mark.parametrize(
    ("rows", "labels", "told"),
    [
        ([ROW], [("a", 2, "true")], "labels:1: field 'line': expected 0 to 1, the lines of the"),
        ([ROW], [("b", 0, "true")], "rows is labelled"),
        ([ROW], [("a", 0, "true"), ("a", 0, "false")], "labels:2: line 0 of 'a' has another label"),
        ([ROW, ROW], [("a", 0, "true")], "expected ids that differ; --jsonl has 'a' twice"),
    ],
)
def test_labels_that_do_not_fit_are_one_line(tmp_path, capsys, rows, labels, told):
    for name, content in (
        ("rows", rows),
        ("labels", [dict(zip(("id", "line", "label"), told, strict=True)) for told in labels]),
    ):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in content))
    flags = [f"--jsonl={tmp_path / 'rows'}", f"--labels={tmp_path / 'labels'}", "--trusted"]
    assert main(flags) == 2
    said = capsys.readouterr()
    assert said.out == "" and told in said.err and said.err.count("\n") == 1


def test_labels_of_more_than_the_rows_are_left_out_with_a_warning(tmp_path, capsys):
    (tmp_path / "rows").write_text(json.dumps(ROW) + "\n")
    labels = [{"id": name, "line": 0, "label": "true"} for name in ("a", "a", "c", "b")]
    (tmp_path / "labels").write_text("".join(json.dumps(row) + "\n" for row in labels))
    flags = [f"--jsonl={tmp_path / 'rows'}", f"--labels={tmp_path / 'labels'}", "--trusted"]
    assert main(flags) == 0
    said = capsys.readouterr()
    assert "100.0 (1/1)" in said.out  # the one labelled line, which is true, is confirmed
    assert said.err == "warning: 2 labelled ids are not in --jsonl, such as b\n"


def test_rows_that_cannot_be_judged_are_told(tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    bad = {name: value for name, value in ROW.items() if name != "call"}
    early = ROW | {"program": "1 / 0\n" + DOUBLES}
    missing = "field 'call' is missing, and the monologue ends in no assertion f(...) == ..."
    for rows, status, told in (
        ([bad, early], 2, f"error: none of 2 rows could be judged; a: {missing}\n"),
        ([bad, ROW], 0, f"warning: 1 of 2 rows could not be judged; a: {missing}\n"),
        ([], 2, "expected at least one row; the file is empty"),
        ([{"id": 1, "monologue": ""}], 2, "rows.jsonl:1: field 'program' is missing\n"),
        ([ROW | {"monologue": 3}], 2, "rows.jsonl:1: field 'monologue': expected text\n"),
    ):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert main([f"--jsonl={file}", "--trusted"]) == status
        said = capsys.readouterr()
        assert told in said.err and said.err.count("\n") == 1
        if rows[:1] == [bad]:
            first, second = map(json.loads, said.out.splitlines())
            assert first == {"id": "a", "error": missing}
            assert (second.get("error") or "no trace").startswith("no trace")


def test_what_is_said_of_a_return_of_a_run_that_raises_is_told_with_the_exception(tmp_path, capsys):
    (tmp_path / "f.py").write_text("def f(n):\n    raise ValueError('no')\n")
    (tmp_path / "m.txt").write_text("### Execution Simulation\n[L6]: It returns None.\n")
    flags = [f"--program={tmp_path / 'f.py'}", f"--monologue={tmp_path / 'm.txt'}", "--call=f(1)"]
    assert main([*flags, "--trusted"]) == 1
    assert "← It returns None: raises ValueError: no\n" in capsys.readouterr().out


def test_other_inputs_run_without_a_sandbox_too(tmp_path, capsys):
    text = "### Understanding the Function\nIf `n` is 0, it returns `{}`."
    rows = [
        {"id": said, "program": DOUBLES, "call": "f(4)", "monologue": text.format(said)}
        for said in ("0", "7")
    ]
    true, false = verify_rows(tmp_path, capsys, rows)
    assert true["lines"][1]["verdict"] == "confirmed"
    assert false["lines"][1]["verdict"] != "confirmed"


def test_the_limit_is_lifted_with_the_run():
    with pytest.raises(RunStopped), limit_run(0.05, 0.2):
        trace_call(ENDLESS, "f(1)")
    time.sleep(0.3)  # a timer left behind would end the process
    with limit_run(0.05, 0.2):
        assert trace_call(DOUBLES, "f(2)").result == "4"


def test_a_run_ends_where_its_recording_is_full():
    trace = trace_call(ENDLESS, "f(1)", max_lines=50, ends_run=True)
    assert trace.truncated == "more than 50 steps"
    assert trace.result is None and trace.raised is None
    # 1, 0, -1, …: each turn of the loop takes one off.
    values = [event.changed["n"] for event in trace.events if "n" in event.changed]
    assert values[:4] == ["1", "0", "-1", "-2"]


def test_other_threads_run_without_a_limit():
    results = []

    def run():
        with limit_run(0.01, 0.01):
            results.append(trace_call(DOUBLES, "f(2)").result)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert results == ["4"]

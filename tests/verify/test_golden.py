"""Tests line verdicts against real monologues that people labelled, and the commands on them."""

import json

import pytest

from data_pipeline.commands.verify import main
from data_pipeline.tracing import trace_call
from data_pipeline.verify import line_verdicts, verify_trace
from data_pipeline.verify.answer import literal_call
from data_pipeline.verify.scoring import LabelledMonologue, score_lines

PROGRAM = "def f(xs):\n    n = len(xs)\n    return n + 1\n"


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_scores_on_real_monologues(shared_data):
    folder = shared_data / "monologues"
    labels = {}
    for row in read(folder / "labels.jsonl"):
        labels.setdefault(row["id"], {})[row["line"]] = row["label"]
    judged = []
    for row in read(folder / "monologues.jsonl"):
        if row["call"] is None or "lambda" in row["call"]:
            continue
        trace = trace_call(row["program"], literal_call(row["call"]))
        verdicts = line_verdicts(verify_trace(trace, row["monologue"]))
        monologue = LabelledMonologue(labels[row["id"]], row["direction"], row["right"])
        judged.append((monologue, {line - 1: verdict for line, verdict in verdicts.items()}))
    scores = score_lines(judged)

    def share(direction, name, answers="all"):
        count, total = scores[direction, answers].share(name)
        return count / total

    assert share("forward", "precision") >= 0.97
    assert share("forward", "precision", "right") >= 0.9
    assert share("forward", "found") >= 0.8
    assert share("forward", "confirmed") >= 0.83
    assert share("forward", "wrongly confirmed") <= 0.01
    assert share("backward", "precision") >= 0.95
    assert share("backward", "confirmed") >= 0.5
    assert share("backward", "wrongly confirmed") <= 0.02


def test_scores_count_what_they_say():
    labels = {0: "true", 1: "false", 2: "false", 3: "goal", 4: "unsure", 5: "true"}
    verdicts = {
        0: "confirmed",
        1: "contradicted",
        2: "confirmed",
        3: "contradicted",
        4: "confirmed",
    }
    scores = score_lines([(LabelledMonologue(labels, "forward", False), verdicts)])
    own = scores["forward", "wrong"]
    assert own.share("precision") == (1, 2)
    assert own.share("found") == (1, 2)
    assert own.share("confirmed") == (1, 2)
    assert own.share("wrongly confirmed") == (1, 2)
    assert own.share("located") == (1, 1)


def test_labels_print_one_table(tmp_path, capsys):
    rows, labels = tmp_path / "rows.jsonl", tmp_path / "labels.jsonl"
    text = "### Execution Simulation\n[L6]: `n` is 2.\n[L6]: `n` is 3."
    row = {"id": "a", "program": PROGRAM, "call": "f([1, 2])", "monologue": text, "right": True}
    rows.write_text(json.dumps(row) + "\n")
    told = [{"id": "a", "line": 1, "label": "true"}, {"id": "a", "line": 2, "label": "false"}]
    labels.write_text("".join(json.dumps(one) + "\n" for one in told))
    assert main([f"--jsonl={rows}", f"--labels={labels}", "--trusted"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("100.0 (1/1)") == 6 and "0.0 (0/1)" in shown
    labels.write_text('{"id": "a", "line": 1, "label": "perhaps"}\n')
    assert main([f"--jsonl={rows}", f"--labels={labels}", "--trusted"]) == 2
    assert "field 'label': expected one of true, false" in capsys.readouterr().err


def verify_one(tmp_path, text, *more):
    program, monologue = tmp_path / "f.py", tmp_path / "m.txt"
    program.write_text(PROGRAM)
    monologue.write_text(text)
    args = [f"--program={program}", "--call=f([1, 2])", f"--monologue={monologue}", "--trusted"]
    return main([*args, *more])


def test_labels_are_shown_and_numbering_is_chosen(tmp_path, capsys):
    assert verify_one(tmp_path, "### Execution Simulation\n[L2]: `n` is 2.") == 0
    shown = capsys.readouterr().out
    assert "[L2]     n = len(xs)" in shown and "✓ [L2]: `n` is 2." in shown
    assert verify_one(tmp_path, "### Execution Simulation\n[L6]: `n` is 2.\n[L3]: `n` is 2.") == 0
    shown = capsys.readouterr().out
    assert "[L6]     n = len(xs)" in shown
    assert "`[L3]` is no line of this program (it has L5 to L7)" in shown
    assert verify_one(tmp_path, "[L3]: returns 4.", "--numbering=file") == 1
    assert "✗ [L3]: returns 4." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels=x"], "--labels: expected with --jsonl only"),
        (["--output=x"], "--output: expected with --jsonl only"),
    ],
)
def test_flags_that_need_rows(tmp_path, capsys, arguments, message):
    assert verify_one(tmp_path, "", *arguments) == 2
    assert message in capsys.readouterr().err

"""Tests rejection sampling with a model whose answers are written by hand."""

import json

import numpy as np
import pytest

from data_pipeline.monologue.inline import inline_monologue
from data_pipeline.pyx.prompts import code_field, forward_field
from data_pipeline.pyx.records import make_record, read_jsonl, write_jsonl
from data_pipeline.tracing import trace_call
from semcoder_jax.commands.improve import main
from semcoder_jax.reinforcement import improvement
from semcoder_jax.reinforcement.improvement import ImproveError, ImproveOptions, improve
from semcoder_jax.reinforcement.prompts import Prompt
from semcoder_jax.reinforcement.rollouts import Rollout
from tests.support.byte_tokenizer import byte_tokenizer

PROGRAM = "def f(a):\n    b = a + {n}\n    return b"
CODE = make_record(
    "nl_s9_ipt0", "nl", code_field("Add two numbers", "assert add(1, 2) == 3"),
    "```python\ndef add(a, b):\n    return a + b\n```",
)  # fmt: skip


def monologue_record(n: int):
    program = PROGRAM.format(n=n)
    response = inline_monologue(trace_call(program, "f(3)"))
    return make_record(f"fwd_mnl_s{n}_ipt0", "fwd_mnl", forward_field(program, "f(3)"), response)


def answers_to(record) -> list[str]:
    """The record's own answer, another right one twice, one with a wrong step, a wrong one."""
    own = record.response
    if record.kind == "nl":
        other, wrong = own.replace("a + b", "b + a"), own.replace("a + b", "a - b")
        return [own, other, other, wrong]
    other = own.replace("in a straight line", "with some care")
    assert other != own
    value = own.rpartition("== ")[2].partition("\n")[0]
    bad_step = other.replace(f"gives b={value}", f"gives b={int(value) + 1}")
    bad_answer = other.replace(f"== {value}", f"== {int(value) + 1}")
    return [own, other, other, bad_step, bad_answer, other.replace("[/ANSWER]", "")]


@pytest.fixture
def source(tmp_path):
    records = [*map(monologue_record, range(1, 4)), CODE]
    direct = forward_field(PROGRAM.format(n=1), "f(3)", answer_mode="direct")
    records.append(make_record("fwd_dir_s1_ipt0", "fwd_mnl", direct, "assert f(3) == 4\n[/ANSWER]"))
    write_jsonl(tmp_path / "source.jsonl", records)
    return tmp_path / "source.jsonl", records


@pytest.fixture
def asked(monkeypatch):
    """Puts the answers above in the place of a model's; returns the ids that were asked."""
    ids: list[str] = []

    def sample(model, records, options):
        groups = []
        for _, record in records:
            ids.append(record.id)
            prompt = Prompt(record, 2, np.zeros(1, np.int32))
            texts = answers_to(record)
            tokens = [np.zeros(len(text.encode()), np.int32) for text in texts]
            groups.append(
                [
                    Rollout(prompt, t, np.zeros(len(t)), text, True, byte_tokenizer())
                    for t, text in zip(tokens, texts, strict=True)
                ]
            )
        return groups

    monkeypatch.setattr(improvement, "_sample", sample)
    monkeypatch.setattr(improvement, "load_model", lambda directory: None)
    monkeypatch.setattr(improvement, "check_model_directory", lambda directory: None)
    monkeypatch.setattr(improvement, "_AT_ONCE", 2)
    return ids


def test_confirmed_answers_become_records_of_their_kind_and_origin(source, asked, tmp_path):
    path, records = source
    found = improve(ImproveOptions("model", str(path)), tmp_path / "out")
    assert (found.asked, found.answered, found.confirmed, found.kept) == (4, 4, 12, 4)
    assert found.sampled == 3 * 6 + 4
    made = list(read_jsonl(tmp_path / "out" / "train.jsonl"))
    assert made[: len(records)] == records
    for record, new in zip(records, made[len(records) :], strict=False):
        assert (new.id, new.kind) == (f"{record.id}_own0", record.kind)
        assert new.prompt_field == record.prompt_field
        assert new.response == answers_to(record)[1]
    assert len(made) == len(records) + 4
    assert "fwd_dir_s1_ipt0" not in asked  # nothing to learn from a bare right value


def test_interrupted_it_asks_only_what_is_left(source, asked, tmp_path):
    path, _ = source
    options, whole, part = ImproveOptions("model", str(path)), tmp_path / "a", tmp_path / "b"
    improve(options, whole)
    rows = (whole / "asked.jsonl").read_text().splitlines(keepends=True)
    part.mkdir()
    (part / "asked.jsonl").write_text("".join(rows[:3]) + rows[3][:20])
    del asked[:]
    found = improve(options, part)
    assert asked == [json.loads(row)["record"] for row in rows[3:]] and found.asked == 4
    for name in ("asked.jsonl", "train.jsonl"):
        assert (part / name).read_bytes() == (whole / name).read_bytes()
    del asked[:]
    assert improve(options, part) == found and asked == []


def test_other_options_are_refused_in_one_line(source, asked, tmp_path, capsys):
    path, _ = source
    improve(ImproveOptions("model", str(path)), tmp_path / "out")
    with pytest.raises(ImproveError, match="made with seed 0, now 1: choose another --output"):
        improve(ImproveOptions("model", str(path), seed=1), tmp_path / "out")
    assert main(["--checkpoint=m", f"--source={path}", "--output=x", "--samples=0"]) == 2
    assert capsys.readouterr().err.endswith("--samples=0: expected at least 1\n")


def test_a_source_without_monologues_is_refused(asked, tmp_path):
    direct = forward_field(PROGRAM.format(n=1), "f(3)", answer_mode="direct")
    record = make_record("fwd_dir_1_ipt0", "fwd_mnl", direct, "assert f(3) == 4\n[/ANSWER]")
    write_jsonl(tmp_path / "s.jsonl", [record])
    with pytest.raises(ImproveError, match=r"s\.jsonl: no record asks for a monologue"):
        improve(ImproveOptions("model", str(tmp_path / "s.jsonl")), tmp_path / "out")

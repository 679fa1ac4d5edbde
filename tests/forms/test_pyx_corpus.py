"""Tests the files of a study that are made of PyX records of real functions."""

import json

import pytest

from data_pipeline.forms import REAL_FORMS
from data_pipeline.forms.corpus import StudyCorpusError
from data_pipeline.forms.pyx_corpus import write_study_corpus_from_pyx
from data_pipeline.pyx.prompts import forward_field
from data_pipeline.pyx.records import PyXRecord, read_jsonl, write_jsonl

SUM = "def f(xs):\n    total = {}\n    for x in xs:\n        total += x\n    return total"
LABELLED = "def f():\n    text = 'a # [L1]'\n    return text + '{}' # [L3]"
RAISES = "def f():\n    return {} // 0"
OBJECT = "def f():\n    x = {}\n    return object()"


def _record(number, program, call):
    field = forward_field(program, call)
    return PyXRecord(id=f"fwd_mnl_{number}_ipt0", nl="", fwd_mnl=field, bwd_mnl="", response="x")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pyx")
    train = [_record(n, SUM.format(n), "f([1, 2])") for n in range(3)]
    train += [_record(9, SUM.format(2), "f([5])")]  # a second input of a program
    train += [_record(4, LABELLED.format("b"), "f()"), _record(5, RAISES.format(1), "f()")]
    train += [_record(6, OBJECT.format(1), "f()"), _record(7, SUM.format(7), "f([])")]
    heldout = [_record(10 + n, SUM.format(10 + n), f"f({[1] * n})") for n in range(6)]
    heldout += [_record(20, SUM.replace("total", "t").format(7), "f([8])")]  # renamed: in training
    write_jsonl(folder / "train.jsonl", train)
    write_jsonl(folder / "eval.jsonl", heldout)
    return {"train": folder / "train.jsonl", "heldout": folder / "eval.jsonl"}


@pytest.fixture(scope="module")
def corpus(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "corpus"
    return write_study_corpus_from_pyx(
        folder, functions=50, problems=5, workers=1, progress=False, **sources
    )


def test_each_form_tells_the_runs_that_return_a_literal_once(corpus):
    assert set(corpus.train) == set(REAL_FORMS)
    for path in corpus.train.values():
        answers = [row.response.rpartition("assert ")[2] for row in read_jsonl(path)]
        assert sorted(answers) == sorted(
            f"{told}\n[/ANSWER]"
            for told in (
                "f([1, 2]) == 3",
                "f([1, 2]) == 4",
                "f([1, 2]) == 5",
                "f() == 'a # [L1]b'",
            )
        )


def test_programs_lose_the_labels_of_the_prompt_and_keep_their_own_comments(corpus):
    [row] = [row for row in read_jsonl(corpus.train["scratchpad"]) if "[L1]" in row.response]
    program = LABELLED.format("b").split("\n")
    lines = row.response.split("\n")
    assert all(line.startswith(code) for line, code in zip(lines, program, strict=False))


def test_a_heldout_program_is_not_trained_on_even_renamed(corpus):
    asked = "".join(path.read_text() for path in corpus.problems.values())
    assert '"f([8])"' in asked
    assert "f([])" not in corpus.train["direct"].read_text()


def test_levels_are_terciles_of_executed_lines(corpus):
    steps = {
        name: [json.loads(line)["steps"] for line in path.read_text().splitlines()]
        for name, path in corpus.problems.items()
    }
    # A sum of n items runs 2 n + 3 lines.
    assert sorted(step for level in steps.values() for step in level) == [3, 5, 5, 7, 9, 11, 13]
    assert max(steps["easy"]) < min(steps["medium"])
    assert max(steps["medium"]) < min(steps["hard"])
    assert corpus.tokenizer is None


def test_impossible_arguments_are_refused(sources, tmp_path):
    with pytest.raises(StudyCorpusError, match="functions=0"):
        write_study_corpus_from_pyx(tmp_path, functions=0, problems=1, **sources)
    with pytest.raises(StudyCorpusError, match="cannot read"):
        missing = sources | {"train": tmp_path / "none.jsonl"}
        write_study_corpus_from_pyx(tmp_path, functions=1, problems=1, **missing)

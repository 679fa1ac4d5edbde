"""Tests that the rows of the synthetic corpus state what running the programs gives."""

import hashlib
import json
import random
import re
import subprocess
import sys

import pytest

from data_pipeline.pyx.records import read_jsonl
from data_pipeline.toy import corpus as synthetic

FUNCTIONS = 300


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return synthetic.build(
        tmp_path_factory.mktemp("corpus"),
        functions=FUNCTIONS,
        heldout_share=0.2,
        seed=7,
        workers=1,
        progress=False,
    )


def _problems(corpus):
    return [json.loads(line) for line in corpus.problems.read_text().splitlines()]


def _program(row):
    """The program of a forward row, its line labels removed."""
    code = row.fwd_mnl.split("[PYTHON]\n")[1].split("\nassert ")[0]
    return re.sub(r" # \[L\d+\]$", "", code, flags=re.MULTILINE)


def _compiled(code):
    """What CPython makes of a function: names of local variables do not occur in it."""
    scope = {}
    exec(code, scope)
    compiled = scope["f"].__code__
    return compiled.co_code, compiled.co_consts, compiled.co_names


def test_outputs_are_those_of_a_fresh_interpreter(corpus):
    lines = [
        f"exec({row['program']!r}); assert repr({row['call']}) == {row['output']!r}"
        for row in _problems(corpus)
    ]
    assert len(lines) > 25
    subprocess.run([sys.executable, "-I", "-c", "\n".join(lines)], check=True)


def test_every_answer_and_return_step_states_the_output(corpus):
    for row in read_jsonl(corpus.train):
        code = _program(row)
        call = re.search(r"\nassert (.*) == \?\?\n", row.fwd_mnl).group(1)
        scope = {}
        exec(code, scope)
        output = repr(eval(call, scope))
        assert row.response.endswith(f"[ANSWER]\nassert {call} == {output}\n[/ANSWER]") or (
            row.response == f"assert {call} == {output}\n[/ANSWER]"
        )
        if row.fwd_mnl.endswith("[MONOLOGUE]"):
            assert f"The function returns {output}.\n" in row.response


def test_no_heldout_function_is_in_training_renamed_or_not(corpus):
    train = {_compiled(_program(row)) for row in read_jsonl(corpus.train)}
    heldout = {_compiled(row["program"]) for row in _problems(corpus)}
    assert len(heldout) > 40
    assert not train & heldout


def test_split_depends_on_the_function_alone(corpus, tmp_path):
    other = synthetic.build(
        tmp_path, functions=FUNCTIONS, heldout_share=0.2, seed=8, workers=1, progress=False
    )
    heldout = {synthetic.function_fingerprint(row["program"]) for row in _problems(corpus)}
    train = {synthetic.function_fingerprint(_program(row)) for row in read_jsonl(other.train)}
    assert not heldout & train


def test_fingerprint_sees_structure_not_names():
    code = "def f(a, b):\n    c = a + b\n    return c"
    renamed = "def g(x, y):\n    # a comment\n    total = x + y\n    return total"
    swapped = "def f(a, b):\n    c = b + a\n    return c"
    other_literal = "def f(a, b):\n    c = a + 1\n    return c"
    fingerprint = synthetic.function_fingerprint
    assert fingerprint(code) == fingerprint(renamed)
    assert len({fingerprint(code), fingerprint(swapped), fingerprint(other_literal)}) == 3


def test_same_files_for_any_number_of_workers(corpus, tmp_path):
    other = synthetic.build(
        tmp_path, functions=FUNCTIONS, heldout_share=0.2, seed=7, workers=2, progress=False
    )
    for ours, theirs in (
        (corpus.train, other.train),
        (corpus.heldout, other.heldout),
        (corpus.problems, other.problems),
        (corpus.tokenizer / "tokenizer.json", other.tokenizer / "tokenizer.json"),
    ):
        assert ours.read_bytes() == theirs.read_bytes()


def test_the_quickstarts_records_stay_the_same_bytes(tmp_path):
    """A change of the family or the narrator must raise the format, and train the quickstart anew.

    The hashes are those of the corpus that the quickstart's measured model was trained on.
    """
    small = synthetic.build(tmp_path, functions=50, seed=0, workers=1, progress=False)
    digests = [
        hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in (small.train, small.problems)
    ]
    assert digests == ["ee8b4d0248266605", "04d3f6bc00fa921f"]


def test_a_built_corpus_is_kept_and_an_unfinished_one_rebuilt(corpus):
    arguments = {"functions": FUNCTIONS, "heldout_share": 0.2, "seed": 7}
    arguments |= {"workers": 1, "progress": False}
    folder = corpus.train.parent
    before = corpus.train.stat().st_mtime_ns
    synthetic.build(folder, **arguments)
    assert corpus.train.stat().st_mtime_ns == before

    content = corpus.train.read_bytes()
    recipe = json.loads((folder / "corpus.json").read_text())
    # Unfinished, and split by another fingerprint.
    for stamp in (None, recipe | {"function_fingerprint": "tree-3.11/0"}):
        (folder / "corpus.json").unlink()
        if stamp is not None:
            (folder / "corpus.json").write_text(json.dumps(stamp))
        corpus.train.write_bytes(content[:1000])
        synthetic.build(folder, **arguments)
        assert corpus.train.read_bytes() == content
        assert json.loads((folder / "corpus.json").read_text()) == recipe


def test_programs_use_every_part_of_the_family():
    rng = random.Random(0)
    text = "\n".join(synthetic.random_program(rng).code for _ in range(500))
    for part in (" if ", " else:", " for i in range(", " for x in ", " for ch in ", ".append("):
        assert part in text
    for part in (" + ", " - ", " * ", " % ", "len(", "sum(", "max(", "sorted(", "[::-1]", "[-1]"):
        assert part in text


@pytest.mark.parametrize(
    ("value", "belongs"),
    [
        *((value, True) for value in (0, 15, True, "", "abc", [], [3, 3, 3])),
        *((value, False) for value in (16, -1, "abcd", "x", [4], [1] * 4, 1.0, None)),
    ],
)
def test_bounds(value, belongs):
    assert synthetic.in_bounds(value) is belongs


def test_impossible_arguments_are_refused(tmp_path):
    with pytest.raises(synthetic.CorpusError, match="functions=0"):
        synthetic.build(tmp_path, functions=0)

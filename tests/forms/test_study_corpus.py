"""Tests the files of a study: same functions in each form, disjoint splits, one fair tokenizer."""

import json
import re

import pytest
from transformers import AutoTokenizer

from data_pipeline.forms import FORMS
from data_pipeline.forms.corpus import StudyCorpusError, write_study_corpus
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import read_jsonl
from data_pipeline.toy.levels import LEVELS
from data_pipeline.tracing import trace_call

OPTIONS = {"functions": 100, "heldout": 8, "seed": 5, "workers": 1, "progress": False}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_study_corpus(tmp_path_factory.mktemp("study") / "corpus", **OPTIONS)


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return AutoTokenizer.from_pretrained(corpus.tokenizer)


def _files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _problems(corpus, level):
    return [json.loads(line) for line in corpus.problems[level].read_text().splitlines()]


def _program(row):
    code = row.prompt_field.split("[PYTHON]\n")[1].rpartition("\nassert f(")[0]
    return re.sub(r" # \[L\d+\]$", "", code, flags=re.MULTILINE)


def _compiled(code):
    scope = {}
    exec(code, scope)
    compiled = scope["f"].__code__
    return compiled.co_argcount, compiled.co_code, compiled.co_consts, compiled.co_names


def _call(row):
    return row.response.rpartition("assert ")[2].partition(" == ")[0]


def test_each_form_tells_the_same_functions_and_inputs(corpus):
    asked = {
        name: [(_program(row), _call(row)) for row in read_jsonl(path)]
        for name, path in corpus.train.items()
    }
    assert set(asked) == set(FORMS)
    assert len(asked["direct"]) == 100
    assert all(runs == asked["direct"] for runs in asked.values())


def test_answers_are_those_of_running_the_programs(corpus):
    for path in corpus.train.values():
        for row in read_jsonl(path):
            scope = {}
            exec(_program(row), scope)
            asserted = row.response.rpartition("assert ")[2].removesuffix("\n[/ANSWER]")
            assert eval(asserted, scope) is True
    for level in LEVELS:
        for row in _problems(corpus, level):
            scope = {}
            exec(row["program"], scope)
            assert repr(eval(row["call"], scope)) == row["output"]


def test_no_heldout_function_is_in_training_renamed_or_not(corpus):
    train = {_compiled(_program(row)) for row in read_jsonl(corpus.train["direct"])}
    heldout = [_compiled(row["program"]) for name in LEVELS for row in _problems(corpus, name)]
    assert len(set(heldout)) == len(heldout) == 24
    assert len(train) == 100
    assert not train & set(heldout)


def test_problems_state_their_level_steps_and_turns(corpus):
    for name in LEVELS:
        for row in _problems(corpus, name):
            fields = ("id", "program", "call", "output", "level", "steps", "turns")
            assert tuple(row) == fields
            assert row["level"] == name
    assert min(row["steps"] for row in _problems(corpus, "hard")) > 10
    assert max(row["turns"] for row in _problems(corpus, "medium")) <= 3


def test_training_takes_as_many_easy_as_medium_functions(corpus):
    programs = [_program(row) for row in read_jsonl(corpus.train["direct"])]
    assert sum("    for " in code or "    if " in code for code in programs) == 50


def test_every_record_fits_and_comes_back_as_it_was(corpus, tokenizer):
    def encode(row):
        texts = (training_prompt(row), row.response)
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        assert [tokenizer.decode(part) for part in ids] == list(texts)
        return sum(map(len, ids)) + 2

    for path in corpus.train.values():
        assert max(map(encode, read_jsonl(path))) <= 256
    for form in FORMS.values():
        for row in _problems(corpus, "hard"):
            trace = trace_call(row["program"], row["call"])
            assert encode(form.record(row["id"], trace)) <= 512


def _cut(text):
    return text.split("|")


def test_forms_pay_one_token_for_the_same_content(tokenizer):
    def words(text):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        return [tokenizer.decode([i]) for i in ids]

    step = words("2. [L6] a=3 + b=12 gives c=15.\n3. [L7] ")
    assert step[1:] == _cut(". [L6] |a=|3| + |b=|12| gives |c=|15|.\n|3|. [L7] ")
    state = words(' # [STATE-0] {"c": 7} [/STATE-0][STATE-1] {"c": 9} [/STATE-1]')
    parts = ' # [STATE-|0|] {|"c": |7|} [/STATE-|0|][STATE-|1|] {|"c": |9|} [/STATE-|1|]'
    assert state == _cut(parts)
    numbered = words("  # (0) a=4; b=2; (3) c=7;")
    assert numbered == _cut("  # (|0|) |a=|4|; |b=|2|; (|3|) |c=|7|;")
    backward = words("c=6 is c + a=1, so c=5.")
    assert backward == _cut("c=|6| is |c| + |a=|1|, so |c=|5|.")


def test_what_a_killed_build_left_does_not_stay(tmp_path):
    left = tmp_path / ".corpus.semcoder-partial" / "train"
    left.mkdir(parents=True)
    (left / "stale.jsonl").write_text("{}\n")
    corpus = write_study_corpus(tmp_path / "corpus", **OPTIONS | {"functions": 4, "heldout": 1})
    assert {path.stem for path in (corpus.folder / "train").iterdir()} == set(FORMS)
    assert not left.exists()


@pytest.mark.slow
def test_same_files_for_any_number_of_workers(corpus, tmp_path):
    other = write_study_corpus(tmp_path / "other", **OPTIONS | {"workers": 2})
    assert _files(other.folder) == _files(corpus.folder)


def test_a_built_corpus_is_kept_and_another_recipe_rebuilt(corpus, tmp_path):
    folder = tmp_path / "corpus"
    small = {"functions": 4, "heldout": 1, "levels": ["easy"], "workers": 1, "progress": False}
    first = write_study_corpus(folder, forms=["direct"], **small)
    before = first.train["direct"].stat().st_mtime_ns
    write_study_corpus(folder, forms=["direct"], **small)
    assert first.train["direct"].stat().st_mtime_ns == before
    other = write_study_corpus(folder, forms=["monologue"], **small)
    assert not first.train["direct"].exists() and other.train["monologue"].exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"functions": 0}, "functions=0"),
        ({"heldout": 0}, "heldout=0"),
        ({"workers": 0}, "workers=0"),
        ({"levels": ["easy", "simple"]}, "levels: expected distinct ones of easy"),
        ({"levels": ["hard"]}, "levels: none of hard may be trained on"),
        ({"forms": ["direct", "direct"]}, "forms: expected distinct ones of direct"),
        ({"forms": []}, "forms: .*got none"),
    ],
)
def test_impossible_arguments_are_refused(tmp_path, options, message):
    with pytest.raises(StudyCorpusError, match=message):
        write_study_corpus(tmp_path, **OPTIONS | options)


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    options = {"functions": 2, "heldout": 1, "levels": ["easy"], "forms": ["direct"]}
    with pytest.raises(StudyCorpusError, match="holds other files"):
        write_study_corpus(tmp_path, workers=1, progress=False, **options)
    assert (tmp_path / "notes.txt").read_text() == "mine"

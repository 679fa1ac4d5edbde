"""Tests the command that completes prompts: order, resumption, one line per error."""

import itertools
import json
import re
import shutil

import pytest

from semcoder_jax.commands.sample import main
from semcoder_jax.evaluation import prompt_file as sample
from semcoder_jax.inference.engine import Engine
from semcoder_jax.inference.generate import SamplingParams, _slots_bucket, generate
from semcoder_jax.inference.request import Request
from semcoder_jax.loading import load_model
from tests.support.tiny_checkpoint import write_checkpoint

PROMPTS = ["def f(a):", "x = [1, 2]\n" * 6, "a", "return the answer"]
ROWS = [{"id": i if i % 2 else f"p{i}", "prompt": text} for i, text in enumerate(PROMPTS)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("sample") / "checkpoint", max_positions=128)


@pytest.fixture
def command(checkpoint, tmp_path):
    """Arguments of a command that samples ROWS."""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return {
        "checkpoint": str(checkpoint),
        "prompts": str(prompts),
        "output": str(tmp_path / "out.jsonl"),
        "temperature": "0.8",
        "max_new_tokens": "20",
        "seed": "7",
        "batch_size": "2",
    }


def run(command):
    return main([f"--{name}={value}" for name, value in command.items()])


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_rows_come_out_in_input_order(command, checkpoint, tmp_path):
    assert run(command) == 0
    rows = read(command["output"])
    params = SamplingParams(max_new_tokens=20, temperature=0.8, seed=7)
    expected = generate(load_model(checkpoint), PROMPTS, params, batch_size=2, progress=None)
    assert rows == [
        {"id": row["id"], "text": generation.text, "finish_reason": generation.finish_reason}
        for row, generation in zip(ROWS, expected, strict=True)
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"prompts.jsonl", "out.jsonl"}


def test_the_end_tells_the_number_of_rows(command, capsys):
    command |= {"n": "3", "max_new_tokens": "1"}
    assert run(command) == 0
    assert capsys.readouterr().out == f"{command['output']}: {3 * len(ROWS)} rows\n"
    assert len(read(command["output"])) == 3 * len(ROWS)


@pytest.mark.parametrize("content", ["", "\n", " \n\n"], ids=["empty", "newline", "blank"])
def test_a_file_without_prompts_is_one_clear_line(content, command, tmp_path, capsys):
    (tmp_path / "prompts.jsonl").write_text(content)
    assert run(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "prompts.jsonl: no prompts; expected a row" in error
    assert [path.name for path in tmp_path.iterdir()] == ["prompts.jsonl"]


def test_an_interrupted_run_goes_on_and_ends_the_same(command, tmp_path, monkeypatch, capsys):
    assert run(command) == 0
    uninterrupted = read(command["output"])
    command["output"] = str(tmp_path / "again.jsonl")
    real_stream, sampled = sample.stream_requests, []

    def interrupted(*args, **kwargs):
        for item in real_stream(*args, **kwargs):
            if len(sampled) == 2:
                raise KeyboardInterrupt
            sampled.append(item)
            yield item

    monkeypatch.setattr(sample, "stream_requests", interrupted)
    assert run(command) == 130
    assert "goes on" in capsys.readouterr().err
    assert not (tmp_path / "again.jsonl").exists()
    prompts_left = []

    def counted(model, requests, **kwargs):
        prompts_left.extend(requests)
        return real_stream(model, requests, **kwargs)

    monkeypatch.setattr(sample, "stream_requests", counted)
    assert run(command) == 0
    assert len(prompts_left) == 2
    assert read(command["output"]) == uninterrupted
    assert not (tmp_path / "again.jsonl.partial").exists()


def test_rows_of_other_parameters_are_not_mixed_in(command, tmp_path, monkeypatch, capsys):
    real_stream = sample.stream_requests

    def interrupted(*args, **kwargs):
        yield next(iter(real_stream(*args, **kwargs)))
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "stream_requests", interrupted)
    run(command)
    command["seed"] = "8"
    assert run(command) == 2
    assert "another run (sampling differ)" in capsys.readouterr().err


def test_stop_strings_may_be_given_several_times(command):
    command["temperature"] = "0"
    assert run(command) == 0
    whole = [row["text"] for row in read(command["output"])]
    stops = [whole[0][5:7], whole[1][9:12]]
    arguments = [f"--{name}={value}" for name, value in command.items()]
    assert main([*arguments, f"--stop={stops[0]}", f"--stop={stops[1]}"]) == 0
    for text, row in zip(whole, read(command["output"]), strict=True):
        found = [text.find(stop) for stop in stops if stop in text]
        assert row["text"] == text[: min(found, default=None)]
        assert not found or row["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": "a", "prompt": "x"}\n{"id": "b"\n', ":2: not JSON"),
        ('{"id": "a", "prompt": "x"}\n\n[1]\n', ":3: expected a JSON object"),
        ('{"id": "a"}\n', ":1: field 'prompt': missing"),
        ('{"id": "", "prompt": "x"}\n', ":1: field 'id': expected a non-empty string"),
        ('{"id": 3.0, "prompt": "x"}\n', ":1: field 'id': expected text or a whole number"),
        ('{"id": true, "prompt": "x"}\n', ":1: field 'id': expected text or a whole number"),
        ('{"id": 3, "prompt": "x"}\n{"id": 3, "prompt": "y"}\n', ":2: field 'id': 3 stands in"),
        ('{"id": "a", "prompt": ""}\n', ":1: field 'prompt': expected a non-empty string"),
        ('{"id": "a", "prompt": "\\ud800"}\n', ":1: field 'prompt': a lone surrogate"),
        ('{"id": "a", "prompt": "x", "k": 1}\n', ":1: unknown field 'k'"),
        ('{"id": "a", "prompt": "x", "n": "2"}\n', ":1: field 'n': expected an integer"),
        ('{"id": "a", "prompt": "x", "top_p": true}\n', ":1: field 'top_p': expected a number"),
        ('{"id": "a", "prompt": "x", "stop": "b"}\n', ":1: field 'stop': expected a list"),
        ('{"id": "a", "prompt": "x", "stop": [""]}\n', ":1: field 'stop': expected a non-empty"),
        ('{"id": "a", "prompt": "x", "n": 0}\n', ":1: n=0, expected at least 1"),
        ('{"id": "a", "prompt": "x", "top_k": -1}\n', ":1: top_k=-1, expected"),
        ('{"id": "a", "prompt": "x", "temperature": NaN}\n', ":1: temperature=nan, expected"),
        ('{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}\n', ":2: field 'id': 'a' stands"),
        ('{"id": "a", "prompt": "' + "x" * 200 + '"}\n', ":1: field 'prompt': 201 tokens"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_field(content, message, command, tmp_path, capsys):
    (tmp_path / "prompts.jsonl").write_text(content)
    assert run(command) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {command['prompts']}{message}")
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"prompts.jsonl"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": "missing.jsonl"}, "missing.jsonl: cannot read the file: No such file"),
        ({"checkpoint": "nowhere"}, "nowhere: no such directory"),
        ({"output": "no/such/dir/out.jsonl"}, "--output=no/such/dir/out.jsonl: there is no folder"),
        ({"wat": "1"}, "unrecognized arguments: --wat=1"),
        ({"temperature": "hot"}, "argument --temperature: invalid float value: 'hot'"),
        ({"temperature": "-1"}, "temperature=-1.0"),
        ({"top_p": "0"}, "top_p=0.0"),
        ({"batch_size": "0"}, "--slots=0"),
        ({"slots": "-3"}, "--slots=-3"),
        ({"n": "0"}, "--n=0"),
        ({"top_k": "-1"}, "top_k=-1"),
        ({"logprobs": "21"}, "logprobs=21"),
        ({"max_new_tokens": "0"}, "max_new_tokens=0"),
        ({"speculation": "maybe"}, "argument --speculation: invalid choice: 'maybe'"),
        ({"stop": ""}, "--stop=: empty; expected the text that ends a row"),
    ],
)
def test_a_bad_flag_is_one_clear_line(change, message, command, tmp_path, capsys):
    assert run(command | change) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"prompts.jsonl"}


def test_a_checkpoint_without_tokenizer_is_one_clear_line(command, checkpoint, tmp_path, capsys):
    bare = tmp_path / "bare"
    shutil.copytree(checkpoint, bare, ignore=shutil.ignore_patterns("tokenizer*"))
    assert run(command | {"checkpoint": str(bare)}) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {bare}") and "tokenizer" in error
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"prompts.jsonl", "bare"}


def test_rows_set_what_the_flags_set_for_all(command, checkpoint, tmp_path):
    """One file with parameters in its rows gives what the library gives row by row."""
    own = [
        {"n": 3, "temperature": 1.0, "seed": 5},
        {"max_new_tokens": 7, "top_k": 3, "logprobs": 2},
        {"temperature": 0, "stop": ["e", "a"]},
        {"top_p": 0.5},
    ]
    (tmp_path / "prompts.jsonl").write_text(
        "".join(json.dumps(row | more) + "\n" for row, more in zip(ROWS, own, strict=True))
    )
    assert run(command) == 0
    rows = read(command["output"])
    assert [row["id"] for row in rows] == ["p0", "p0", "p0", 1, "p2", 3]
    assert [row.pop("sample", None) for row in rows] == [0, 1, 2, None, None, None]
    told = rows[3].pop("logprobs")
    base = {"max_new_tokens": 20, "temperature": 0.8, "seed": 7}
    requests, sample_places = [], iter(range(6))
    for prompt, more in zip(PROMPTS, own, strict=True):
        fields = base | more | {"stop": tuple(more.get("stop", ()))}
        for _ in range(fields.pop("n", 1)):
            params = SamplingParams(**fields)
            requests.append(Request(prompt, params, first_sample=next(sample_places)))
    engine = Engine(load_model(checkpoint), num_slots=2, speculation="off")
    expected = [generation for (generation,) in engine.generate(requests)]
    assert [(row["text"], row["finish_reason"]) for row in rows] == [
        (generation.text, generation.finish_reason) for generation in expected
    ]
    assert [token["token"] for token in told] == list(expected[3].tokens)
    for token, logprobs in zip(told, expected[3].logprobs, strict=True):
        assert token["logprob"] == pytest.approx(logprobs.chosen, abs=1e-5)
        assert [alternative for alternative, _ in token["top"]] == [t for t, _ in logprobs.top]


def test_samples_of_an_interrupted_prompt_are_its_own(command, tmp_path, monkeypatch):
    """Slots, speculation and interruptions change no row."""
    command |= {"n": "3", "top_k": "20"}
    assert run(command) == 0
    whole = read(command["output"])
    assert len(whole) == 12 and len({row["text"] for row in whole}) > 8
    command |= {"output": str(tmp_path / "again.jsonl"), "speculation": "off"}
    real_stream = sample.stream_requests

    def interrupted(*args, **kwargs):
        yield from itertools.islice(real_stream(*args, **kwargs), 4)
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "stream_requests", interrupted)
    assert run(command) == 130
    monkeypatch.setattr(sample, "stream_requests", real_stream)
    assert run(command) == 0
    assert read(command["output"]) == whole


def test_progress_tells_rate_slots_and_time_left(command, capsys):
    assert run(command) == 0
    last = capsys.readouterr().err.split("\r")[-1]
    assert re.search(r"sampling: 100%.*4/4 \[\d\d:\d\d<\d\d:\d\d.*tokens/s.*of \d+ slots", last)


def test_help_names_every_flag_and_field(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["--help"])
    assert exit.value.code == 0
    text = capsys.readouterr().out
    for name in ("top_k", "n", "logprobs", "seed", "speculation", "slots", "stop"):
        assert f"--{name}" in text
    for field in sample.ROW_FIELDS:
        assert f'"{field}"' in text


def test_a_missing_flag_is_one_clear_line(capsys):
    assert main(["--checkpoint=x"]) == 2
    assert "required: --prompts, --output" in capsys.readouterr().err


def test_the_number_of_rows_is_rounded_up_as_the_help_says(capsys):
    numbers = [1, 2, 4, 8, 16, 24, 32, 40]
    for size in range(1, 41):
        expected = min(number for number in numbers if number >= size)
        assert _slots_bucket(size) == expected
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "rounded up to 1, 2, 4, 8, 16, 24, …" in " ".join(capsys.readouterr().out.split())

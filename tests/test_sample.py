"""The command that completes a file of prompts: order, resumption, errors in one line."""

import json

import pytest

from semcoder_jax import sample
from semcoder_jax.checkpoints import load_model
from semcoder_jax.sample import main
from semcoder_jax.sampling import SamplingParams, generate
from tests.tiny_checkpoint import write_checkpoint

PROMPTS = ["def f(a):", "x = [1, 2]\n" * 6, "a", "return the answer"]
ROWS = [{"id": f"p{i}", "prompt": text} for i, text in enumerate(PROMPTS)]


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
    expected = generate(load_model(checkpoint), PROMPTS, params, progress=None)
    assert rows == [
        {"id": row["id"], "text": generation.text, "finish_reason": generation.finish_reason}
        for row, generation in zip(ROWS, expected, strict=True)
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"prompts.jsonl", "out.jsonl"}


def test_an_interrupted_run_goes_on_and_ends_the_same(command, tmp_path, monkeypatch, capsys):
    assert run(command) == 0
    uninterrupted = read(command["output"])
    command["output"] = str(tmp_path / "again.jsonl")
    real_stream, sampled = sample.stream, []

    def interrupted(*args, **kwargs):
        for item in real_stream(*args, **kwargs):
            if len(sampled) == 2:
                raise KeyboardInterrupt
            sampled.append(item)
            yield item

    monkeypatch.setattr(sample, "stream", interrupted)
    assert run(command) == 130
    assert "goes on" in capsys.readouterr().err
    assert not (tmp_path / "again.jsonl").exists()
    prompts_left = []

    def counted(model, prompts, params, **kwargs):
        prompts_left.extend(prompts)
        return real_stream(model, prompts, params, **kwargs)

    monkeypatch.setattr(sample, "stream", counted)
    assert run(command) == 0
    assert len(prompts_left) == 2
    assert read(command["output"]) == uninterrupted
    assert not (tmp_path / "again.jsonl.partial").exists()


def test_rows_of_other_parameters_are_not_mixed_in(command, tmp_path, monkeypatch, capsys):
    real_stream = sample.stream

    def interrupted(*args, **kwargs):
        yield next(iter(real_stream(*args, **kwargs)))
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "stream", interrupted)
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
        ('{"id": "a", "prompt": "x"}\n\n[1]\n', ":3: expected an object"),
        ('{"id": "a"}\n', ":1: field 'prompt': missing"),
        ('{"id": 3, "prompt": "x"}\n', ":1: field 'id': expected a non-empty string"),
        ('{"id": "a", "prompt": ""}\n', ":1: field 'prompt': expected a non-empty string"),
        ('{"id": "a", "prompt": "\\ud800"}\n', ":1: field 'prompt': a lone surrogate"),
        ('{"id": "a", "prompt": "x", "n": 1}\n', ":1: unknown field 'n'"),
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
        ({"prompts": "missing.jsonl"}, "missing.jsonl: No such file"),
        ({"checkpoint": "nowhere"}, "nowhere: no such directory"),
        ({"output": "no/such/dir/out.jsonl"}, "--output=no/such/dir/out.jsonl: there is no dir"),
        ({"wat": "1"}, "unrecognized arguments: --wat=1"),
        ({"temperature": "hot"}, "argument --temperature: invalid float value: 'hot'"),
        ({"temperature": "-1"}, "temperature=-1.0"),
        ({"top_p": "0"}, "top_p=0.0"),
        ({"batch_size": "0"}, "--batch_size=0"),
        ({"stop": ""}, "stop="),
    ],
)
def test_a_bad_flag_is_one_clear_line(change, message, command, tmp_path, capsys):
    assert run(command | change) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"prompts.jsonl"}


def test_a_missing_flag_is_one_clear_line(capsys):
    assert main(["--checkpoint=x"]) == 2
    assert "required: --prompts, --output" in capsys.readouterr().err


def test_no_prompts_give_an_empty_file(command, tmp_path):
    (tmp_path / "prompts.jsonl").write_text("")
    assert run(command) == 0
    assert read(command["output"]) == []

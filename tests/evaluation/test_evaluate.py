"""Tests the command: generates, continues after a kill, judges again without a model, compares."""

import dataclasses
import json
from pathlib import Path

import pytest

from data_pipeline.endpoint.client import Endpoint
from data_pipeline.pyx.prompts import forward_prompt
from semcoder_jax.commands.evaluate import main
from semcoder_jax.evaluation import generators as sources
from semcoder_jax.evaluation.benchmarks.heldout import read_problems
from semcoder_jax.evaluation.results import read_runs
from semcoder_jax.inference.generate import SamplingParams, generate
from semcoder_jax.loading import load_model
from tests.support.openai_stand_in import MODEL, StandIn
from tests.support.random_runs import write_problems
from tests.support.tiny_checkpoint import write_checkpoint

CONFIG = "--config=configs/eval/heldout.py"


@pytest.fixture(scope="module")
def problems_file(tmp_path_factory):
    return write_problems(tmp_path_factory.mktemp("problems") / "problems.jsonl")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("evaluate") / "checkpoint", max_positions=1024)


def arguments(checkpoint, problems_file, tmp_path):
    return [
        CONFIG,
        f"--checkpoint={checkpoint}",
        f"--workdir={tmp_path / 'work'}",
        f"--config.data={problems_file}",
        "--config.sampling.max_new_tokens=12",
    ]


def test_generations_are_the_models_own(problems_file, checkpoint, tmp_path, capsys):
    line = [*arguments(checkpoint, problems_file, tmp_path), "--config.variants=('direct',)"]
    assert main(line) == 0
    (run,) = read_runs(tmp_path / "work" / "result.json")
    problems = read_problems(problems_file)
    prompts = [forward_prompt(p.program, p.call, answer_mode="direct") for p in problems]
    params = SamplingParams(max_new_tokens=12, stop=("[/ANSWER]",))
    expected = generate(load_model(checkpoint), prompts, params, progress=None)
    assert [a.text for a in run.answers] == ["[ANSWER]\n" + g.text for g in expected]
    assert run.tokens_per_second > 0
    assert "report: " in capsys.readouterr().out
    assert "<table" in (tmp_path / "work" / "report.html").read_text()


@pytest.mark.slow
def test_a_killed_evaluation_goes_on(checkpoint, problems_file, tmp_path, monkeypatch, capsys):
    line = [*arguments(checkpoint, problems_file, tmp_path), f"--json={tmp_path / 'r.json'}"]
    real_stream, asked = sources.stream, []

    def interrupted(model, prompts, params, **kwargs):
        for n, item in enumerate(real_stream(model, prompts, params, **kwargs)):
            if n == 4:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(sources, "stream", interrupted)
    assert main(line) == 130

    def counted(model, prompts, params, **kwargs):
        asked.extend(prompts)
        return real_stream(model, prompts, params, **kwargs)

    monkeypatch.setattr(sources, "stream", counted)
    assert main(line) == 0
    assert len(asked) == 12 - 4  # what was left
    (run,) = read_runs(tmp_path / "r.json")
    assert [score.samples for score in run.scores] == [6, 6]
    assert [a.task for a in run.answers] == [f"p{i}" for i in range(6)] * 2
    shown = capsys.readouterr().out
    assert "monologue" in shown and "95 % interval" in shown and "no wrong step" in shown

    # Judged again: all is there, so no model is loaded.
    monkeypatch.setattr(sources, "load_model", lambda _: pytest.fail("a model was loaded"))
    assert main(line) == 0
    assert read_runs(tmp_path / "r.json")[0].answers == run.answers
    # And from its generations alone, without the checkpoint.
    store = tmp_path / "work" / "generations.jsonl"
    line = [CONFIG, f"--config.data={problems_file}", f"--generations={store}"]
    assert main([*line, f"--json={tmp_path / 'again.json'}"]) == 0
    assert read_runs(tmp_path / "again.json")[0].answers == run.answers


def test_any_part_of_a_store_is_scored_over_all_tasks(checkpoint, problems_file, tmp_path, capsys):
    assert main(arguments(checkpoint, problems_file, tmp_path)) == 0
    content = (tmp_path / "work" / "generations.jsonl").read_bytes()
    part = tmp_path / "part.jsonl"
    lines = content.splitlines(keepends=True)
    part.write_bytes(b"".join(lines[:4]) + lines[4][:10])  # three rows, and a part of one
    line = [CONFIG, f"--config.data={problems_file}", f"--generations={part}"]
    assert main([*line, f"--json={tmp_path / 'r.json'}", "--config.max_tasks=5"]) == 0
    (run,) = read_runs(tmp_path / "r.json")
    assert [score.samples for score in run.scores] == [5, 5]
    missing = sum(score.outcomes.get("missing", 0) for score in run.scores)
    assert 7 <= missing <= 8
    assert f"{missing} of 10 questions have no generation" in capsys.readouterr().out


def ask_directly(server, problems, workdir) -> list[str]:
    """The command line that asks an endpoint for answers alone."""
    return [
        CONFIG,
        f"--config.data={problems}",
        "--config.variants=('direct',)",
        f"--endpoint={server.url}",
        f"--model={MODEL}",
        f"--workdir={workdir}",
    ]


def test_an_endpoint_stands_in_for_the_model(problems_file, tmp_path, capsys):
    problems = {
        forward_prompt(p.program, p.call, answer_mode="direct"): p
        for p in read_problems(problems_file)
    }

    def answer(body):
        problem = problems[body["prompt"]]
        return f"assert {problem.call} == {problem.output}\n"

    refused = (400, {}, {"error": {"message": "maximum context length"}})
    with StandIn(answer, faults=[refused, "malformed", None, (500, {}, {})]) as server:
        line = ask_directly(server, problems_file, tmp_path)
        assert main(line) == 0
        (run,) = read_runs(tmp_path / "result.json")
        assert run.scores[0].outcomes == {"right": 5, "no answer": 1}
        assert run.model == f"{MODEL} ({server.url})"
        assert "1 of 6 prompts were refused" in capsys.readouterr().out
        requests = len(server.requests)
        sent = server.requests[-1][2]
        assert sent["stop"] == ["[/ANSWER]"] and sent["temperature"] == 0.0
        assert sent["max_tokens"] == 512
        assert main(line) == 0 and len(server.requests) == requests  # nothing is asked twice


def right_answers(problems_file):
    """What a server answers that knows them, asked by text or by chat."""
    problems = {
        forward_prompt(p.program, p.call, answer_mode="direct"): p
        for p in read_problems(problems_file)
    }

    def answer(body):
        problem = problems[body["prompt"] if "prompt" in body else body["messages"][0]["content"]]
        return f"assert {problem.call} == {problem.output}\n[/ANSWER] and more"

    return answer


def a_reasoning_model(path, body):
    """Chats only, and takes neither max_tokens nor a temperature nor stop strings."""
    if not path.endswith("/chat/completions"):
        return 404, {"error": {"message": "This is not supported in the v1/completions endpoint."}}
    for field in ("max_tokens", "temperature", "stop"):
        if field in body:
            return 400, {"error": {"message": f"'{field}' is not supported", "param": field}}
    return None


def test_an_endpoint_is_asked_as_it_wants(problems_file, tmp_path, capsys):
    answer = right_answers(problems_file)
    with StandIn(answer, refusal=a_reasoning_model) as server:
        assert main(ask_directly(server, problems_file, tmp_path)) == 0
    (run,) = read_runs(tmp_path / "result.json")
    assert run.scores[0].outcomes == {"right": 6}
    assert server.requests[-1][2]["max_completion_tokens"] == 512
    assert f"{server.url}: asked without temperature, which it refuses" in run.notes
    assert "asked without temperature" in capsys.readouterr().out


@pytest.mark.parametrize(("flag", "path"), [("--chat", "/v1/chat/completions"),
    ("--chat=yes", "/v1/chat/completions"), ("--chat=no", "/v1/completions")])  # fmt: skip
def test_chat_is_chosen_by_a_flag(flag, path, problems_file, tmp_path):
    with StandIn(right_answers(problems_file)) as server:
        assert main([flag, *ask_directly(server, problems_file, tmp_path)]) == 0
    assert {asked for asked, _, _ in server.requests} == {path}
    (run,) = read_runs(tmp_path / "result.json")
    assert run.scores[0].outcomes == {"right": 6} and run.notes == ()


@pytest.mark.parametrize(("chat", "stop"), [(False, ["\n```", "END"]), (True, ["END"])])
def test_a_chat_may_give_its_program_in_a_fence(chat, stop):
    with StandIn(lambda body: "Here it is:\n```python\nx = 1\n```") as server:
        source = sources.EndpointSource(Endpoint(server.url, MODEL), chat=chat)
        params = SamplingParams(stop=("\n```", "END"))
        list(source.stream(["Write x."], params, row_seeds=[0], progress=None))
    assert server.requests[0][2]["stop"] == stop


def test_an_endpoint_that_fails_keeps_what_it_gave(problems_file, tmp_path, capsys, monkeypatch):
    real = sources.Client

    def impatient(endpoint, **kwargs):
        return real(dataclasses.replace(endpoint, max_tries=1, concurrency=1), **kwargs)

    monkeypatch.setattr(sources, "Client", impatient)
    with StandIn(lambda body: "assert f() == 1", faults=[None, (500, {}, {})]) as server:
        line = ask_directly(server, problems_file, tmp_path)
        assert main(line) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: 1 of 6 requests got no answer") and "status 500" in error
        assert not (tmp_path / "result.json").exists()
        assert main(line) == 0
        assert len(server.requests) == 6 + 1


def test_an_endpoint_that_refuses_everything_is_no_result(problems_file, tmp_path, capsys):
    refuses = [True]

    def refusal(path, body):
        return (400, {"error": {"message": "no such tenant"}}) if refuses else None

    with StandIn(lambda body: "assert f() == 1", refusal=refusal) as server:
        line = ask_directly(server, problems_file, tmp_path)
        assert main(line) == 2
        told = capsys.readouterr()
        error = [each for each in told.err.splitlines() if "refused" in each or "tenant" in each]
        assert len(error) == 1 and error[0].startswith("error: all 6 requests were refused (")
        assert "status 400: no such tenant" in error[0] and not told.out
        assert not (tmp_path / "result.json").exists()
        assert len((tmp_path / "generations.jsonl").read_text().splitlines()) == 1  # the run's line
        refuses.clear()
        assert main(line) == 0
        assert len(server.requests) == 6 + 6
        (run,) = read_runs(tmp_path / "result.json")
        assert not any("refused" in note for note in run.notes)


def test_refusals_of_what_a_stopped_run_left_are_answers(problems_file, tmp_path, capsys):
    """The store proves that the server answers, so a last prompt too long ends no run."""
    with StandIn(lambda body: "assert f() == 1") as server:
        line = ask_directly(server, problems_file, tmp_path)
        assert main(line) == 0
        store = tmp_path / "generations.jsonl"
        store.write_text("".join(store.read_text().splitlines(keepends=True)[:-1]))
        server.refusal = lambda path, body: (400, {"error": {"message": "too long"}})
        assert main(line) == 0
    assert "heldout: 1 of 6 prompts were refused" in capsys.readouterr().out


def test_two_runs_are_compared(checkpoint, problems_file, tmp_path, capsys):
    line = arguments(checkpoint, problems_file, tmp_path)
    assert main([*line, f"--json={tmp_path / 'a.json'}"]) == 0
    capsys.readouterr()
    a = str(tmp_path / "a.json")
    assert main(["compare", a, a, f"--json={tmp_path / 'c.json'}"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("no difference shown") == 2 and "McNemar p" in shown
    rows = json.loads((tmp_path / "c.json").read_text())["comparisons"]
    assert [row["variant"] for row in rows] == ["monologue", "direct"]
    assert {(row["tasks"], row["difference"], row["p_value"]) for row in rows} == {(6, 0, 1)}

    for mistake, message in [
        ([a], "takes two result files, got 1"),
        ([a, str(tmp_path / "absent.json")], "absent.json: No such file"),
        ([a, a, "--wat"], "unrecognized arguments: --wat"),
    ]:
        assert main(["compare", *mistake]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_a_suite_is_one_command(checkpoint, problems_file, tmp_path, capsys):
    suite = tmp_path / "suite.py"
    for name in ("first", "second"):
        content = Path("configs/eval/heldout.py").read_text()
        (tmp_path / f"{name}.py").write_text(content)
    suite.write_text(
        "from ml_collections import ConfigDict\n\ndef get_config():\n"
        "    return ConfigDict({'configs': {'first': {}, 'second': {'max_tasks': 1}},\n"
        f"        'overrides': {{'data': {str(problems_file)!r}, 'max_tasks': 3,\n"
        "            'sampling': {'max_new_tokens': 4}, 'variants': ('direct',)}})\n"
    )
    line = [f"--suite={suite}", f"--checkpoint={checkpoint}"]
    work = tmp_path / "work"
    assert main([*line, f"--workdir={work}"]) == 0
    runs = read_runs(work / "result.json")
    assert [score.samples for run in runs for score in run.scores] == [3, 1]
    assert main([*line, f"--workdir={work}", "--config.max_tasks=2"]) == 0
    runs = read_runs(work / "result.json")
    assert [score.samples for run in runs for score in run.scores] == [2, 2]
    assert sorted(p.name for p in work.iterdir()) == [
        "first", "report.html", "result.json", "second",
    ]  # fmt: skip
    assert "[2/2] second" in capsys.readouterr().err
    assert main([*line, f"--workdir={work}", CONFIG]) == 2
    assert "--config and --suite exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--config.data=missing.jsonl", "missing.jsonl: cannot read the file: No such file"),
        ("--checkpoint=nowhere", "nowhere: no such directory"),
        ("--config.wat=1", "wat"),
        ("--wat=1", "wat"),
        ("extra", "unexpected argument 'extra'"),
        ("--config=missing.py", "missing.py"),
        ("--config.batch_size=0", "config.batch_size=0"),
        ("--config.num_samples=0", "config.num_samples=0"),
        ("--config.pass_at=(2,)", "config.pass_at=(2,)"),
        ("--config.benchmark=mmlu", "config.benchmark='mmlu'"),
        ("--config.variants=('spoken',)", "config.variants"),
        ("--config.sampling.temperature=-1.0", "temperature=-1.0"),
        ("--json=no/such/dir/r.json", "--json=no/such/dir/r.json"),
        ("--mode=both", "--mode=both"),
        ("--mode=compat", "heldout knows fixed"),
        ("--endpoint=http://127.0.0.1:9/v1", "exactly one of"),
        ("--generations=x.jsonl", "exactly one of"),
        ("--model=m", "need each other"),
        ("--chat", "--chat needs --endpoint=URL"),
        ("--chat=maybe", "--chat=maybe: expected yes or no"),
    ],
)
def test_a_mistake_is_one_clear_line(change, message, checkpoint, problems_file, tmp_path, capsys):
    line = arguments(checkpoint, problems_file, tmp_path)
    name = change.split("=")[0]
    line = [argument for argument in line if argument.split("=")[0] != name]
    assert main([*line, change]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--config=configs/quickstart.py", "--checkpoint=x"], "has no `benchmark`"),
        (["--suite=configs/eval/heldout.py", "--checkpoint=x"], "has no `configs`"),
    ],
)
def test_a_config_of_another_kind_is_one_line(flags, message, capsys):
    assert main(flags) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("", "not a store of generations"),
        ('{"wat": 1}\n', ":1: not a line of a store"),
    ],
)
def test_generations_that_cannot_be_read(content, message, problems_file, tmp_path, capsys):
    path = tmp_path / "g.jsonl"
    if content is not None:
        path.write_text(content)
    line = [CONFIG, f"--config.data={problems_file}", f"--generations={path}"]
    assert main(line) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}") and message in error and error.count("\n") == 1


def test_a_file_is_scored_into_a_folder_that_is_made_first(tmp_path, capsys, monkeypatch):
    """The folder is there before anything is judged; what is judged is not lost."""
    data, answers = tmp_path / "data.jsonl", tmp_path / "answers.json"
    rows = [
        {"id": f"s{n}", "code": "def f(x):\n    return x", "input": f"{n}", "output": f"{n}"}
        for n in range(10)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers.write_text(json.dumps({f"s{n}": [f"f({n})"] * 2 + ["f(77)"] * 3 for n in range(4)}))
    work = tmp_path / "no" / "such" / "folder"
    line = ["--config=configs/eval/cruxeval_input.py", f"--config.data={data}"]
    line += [f"--generations={answers}", f"--workdir={work}"]
    assert main(line) == 0
    (run,) = read_runs(work / "result.json")
    # By hand: 4 of 10 tasks are answered, each right in 2 of 5 samples.
    found = {(s.mode, s.k): (s.estimate.value, s.answered.value) for s in run.scores}
    assert found == {
        (mode, k): pytest.approx((0.4 * chance, chance))
        for mode in ("compat", "fixed")
        for k, chance in ((1, 0.4), (5, 1.0))
    }
    shown = capsys.readouterr().out
    assert "answered tasks only" in shown and "40.0 % of 4" in shown and "6 of 10 problems" in shown
    assert "answered tasks only" in (work / "report.html").read_text()
    assert main([*line, "--config.pass_at=(2,)"]) == 0
    assert {score.k for score in read_runs(work / "result.json")[0].scores} == {2}
    capsys.readouterr()
    for change, message in [
        (["--config.pass_at=(6,)"], "has 5 samples a task, too few for 6"),
        ([f"--workdir={answers}"], f"--workdir={answers}: "),
    ]:
        assert main([*line, *change]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"sample_0": ["f(1)"]}, "none of its 1 ids is a problem of this data; expected s0, s1 (2"),
        ({"s0": ["g(1)", "g(2)"], "s1": ["h(g(3))"]}, "none of the answers calls f, the function"),
    ],
)
def test_a_file_for_other_data_is_one_line(content, message, tmp_path, capsys):
    data, answers = tmp_path / "data.jsonl", tmp_path / "answers.json"
    row = {"code": "def f(x):\n    return x", "input": "1", "output": "1"}
    data.write_text("".join(json.dumps({"id": id, **row}) + "\n" for id in ("s0", "s1")))
    answers.write_text(json.dumps(content))
    line = ["--config=configs/eval/cruxeval_input.py", f"--config.data={data}"]
    assert main([*line, f"--generations={answers}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_a_store_for_other_data_is_one_line(tmp_path, capsys):
    data, store = tmp_path / "data.jsonl", tmp_path / "store.jsonl"
    data.write_text(
        '{"id": "s0", "code": "def f(x):\\n    return x", "input": "1", "output": "1"}\n'
    )
    store.write_text('{"run": {}}\n{"id": "t#0/x", "sample": 0, "text": "", "finish_reason": ""}\n')
    line = ["--config=configs/eval/cruxeval_input.py", f"--config.data={data}"]
    assert main([*line, f"--generations={store}"]) == 2
    error = capsys.readouterr().err
    assert "none of its 1 generations answers a question" in error and "s0#0/" in error
    assert error.startswith("error: ") and error.count("\n") == 1

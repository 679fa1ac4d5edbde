"""Tests our Inspect tasks in Inspect AI itself: references score 100 %, wrong answers 0.

The model is a server that chats; answers are written here, out of the benchmarks' files.
"""

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

from data_pipeline.pyx.prompts import backward_prompt, forward_prompt
from semcoder_jax.evaluation.benchmarks import reval
from tests.support.openai_stand_in import StandIn

REPOSITORY = Path(__file__).parents[2]
TASKS = 2  # of each benchmark
CALLS = [
    ("def f(x):\n    return x * 2\n", "f(3)", "6"),
    ("def f(xs):\n    return sorted(xs)[0]\n", "f(['b', 'a'])", "'a'"),
]
STATEMENTS = {
    "id": "double", "call": "f(3)", "output": "6",
    "program": "def f(x):\n    y = x * 2\n    if y > 9:\n        y = 9\n    return y\n",
}  # fmt: skip
SUM = {
    "question_title": "sums", "question_content": "Print the sum of two integers.",
    "platform": "atcoder", "question_id": "sums", "contest_id": "c",
    "contest_date": "2023-09-01T00:00:00", "starter_code": "", "difficulty": "easy",
    "private_test_cases": "[]", "metadata": "{}",
    "public_test_cases": json.dumps([
        {"input": "1 2\n", "output": "3\n", "testtype": "stdin"},
        {"input": "2 5\n", "output": "7\n", "testtype": "stdin"},
    ]),
}  # fmt: skip
EXECUTION = {
    "id": "sample_0", "question_id": "2777", "contest_id": "biweekly-contest-107",
    "contest_date": "2023-06-24 00:00:00", "difficulty": "easy", "function_name": "twice",
    "code": "def twice(x: int) -> int:\n    return 2 * x", "input": "twice(x = 21)",
    "output": "42",
}  # fmt: skip


def told(assertion: str) -> str:
    return f"It runs.\n[/MONOLOGUE]\n\n[ANSWER]\nassert {assertion}\n[/ANSWER]\nDone."


def fenced(program: str) -> str:
    """A program as a chat gives it: after a sentence, in a fence."""
    return f"Here is a solution:\n\n```python\n{program}\n```\n\nIt is short."


def write_rows(path: Path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


class Answers:
    """Collects, for each benchmark, its file and what tells a prompt's right and wrong answers."""

    def __init__(self, folder: Path, shared_data: Path):
        self.parameters: dict[str, dict] = {}
        self.known: list[tuple[str, str, str]] = []  # part of the prompt, right, wrong
        self._folder = folder
        self._add_calls()
        self._add_cruxeval(shared_data / "cruxeval" / "data" / "cruxeval.jsonl")
        self._add_programs("humaneval", shared_data / "humanevalplus" / "HumanEvalPlus.jsonl.gz")
        self._add_programs("mbpp", shared_data / "mbppplus" / "MbppPlus.jsonl.gz")
        self._add("livecodebench", write_rows(folder / "sums.jsonl", [SUM]))
        self.known.append((
            SUM["question_content"],
            fenced("a, b = map(int, input().split())\nprint(a + b)"), fenced("print(3)"),
        ))  # fmt: skip
        self._add("livecodebench_execution", write_rows(folder / "runs.jsonl", [EXECUTION]))
        right = told("twice(x = 21) == 42")
        self.known.append((EXECUTION["code"].split("\n")[0], right, right.replace("42", "43")))

    def _add(self, name: str, data: str) -> None:
        self.parameters[name] = {"data": data, "max_tasks": TASKS}

    def _add_calls(self) -> None:
        rows = [
            {"id": f"p{i}", "program": program, "call": call, "output": output}
            for i, (program, call, output) in enumerate(CALLS)
        ]
        path = write_rows(self._folder / "problems.jsonl", rows)
        self._add("heldout", path)
        self._add("heldout_backward", path)
        statements = write_rows(self._folder / "statements.jsonl", [STATEMENTS])
        self._add("reval", statements)
        self.questions = reval.load(statements)
        for id, problem in self.questions.problems.items():
            right = f"{problem.question.answers[0]}\n[/ANSWER]"
            prompt = self.questions.prompt(id, "direct", "fixed")
            self.known.append((prompt, right, "MAYBE\n[/ANSWER]"))
        for program, call, output in CALLS:
            forward, backward = forward_prompt(program, call), backward_prompt(program, output)
            self.known.append((forward, told(f"{call} == {output}"), told(f"{call} == None")))
            self.known.append(
                (backward, told(f"{call} == {output}"), told(f"{output} == {output}"))
            )

    def _add_cruxeval(self, path: Path) -> None:
        with path.open() as lines:
            rows = [json.loads(line) for line, _ in zip(lines, range(TASKS), strict=False)]
        self._add("cruxeval_output", str(path))
        self._add("cruxeval_input", str(path))
        for row in rows:
            right = told(f"f({row['input']}) == {row['output']}")
            self.known.append((f"assert f({row['input']}) == ??", right, told("f() == 'wrong'")))
            self.known.append((f"assert f(??) == {row['output']}", right, told("f() == None")))

    def _add_programs(self, name: str, path: Path) -> None:
        with gzip.open(path, "rt") as lines:
            rows = [json.loads(line) for line, _ in zip(lines, range(TASKS), strict=False)]
        self._add(name, str(path))
        for row in rows:
            wrong = f"def {row['entry_point']}(*a):\n    return 'a constant'"
            program = row["prompt"] + row["canonical_solution"]
            part = row["prompt"].strip().strip('"').strip().split("\n")
            self.known.append((max(part, key=len).strip(), fenced(program), fenced(wrong)))

    def answer(self, body: dict) -> str:
        prompt = body["messages"][-1]["content"]
        # The longest that fits: a program may be part of another's prompt.
        found = [one for one in self.known if one[0] in prompt]
        assert found, prompt
        _, right, wrong = max(found, key=lambda one: len(one[0]))
        return right if body["model"] == "right" else wrong


def run_inspect(python, answers: Answers, logs: Path) -> dict:
    """{model: {task: {score: accuracy, "samples": number}}}."""
    with StandIn(answers.answer) as server:
        asked = {
            "models": ["openai-api/stand/right", "openai-api/stand/wrong"],
            "tasks": answers.parameters,
            "logs": str(logs),
        }
        environment = os.environ | {
            "PYTHONPATH": str(REPOSITORY),
            "JAX_PLATFORMS": "cpu",
            "STAND_BASE_URL": server.url,
            "STAND_API_KEY": "none",
        }
        done = subprocess.run(
            [python, "tests/support/inspect_run.py"], input=json.dumps(asked), env=environment,
            cwd=REPOSITORY, capture_output=True, text=True, timeout=900,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_ceiling_and_floor_of_every_task(harnesses_python, shared_data, tmp_path):
    answers = Answers(tmp_path, shared_data)
    found = run_inspect(harnesses_python, answers, tmp_path / "logs")
    verdicts = {"humaneval": ("HumanEval", "HumanEval+"), "mbpp": ("MBPP", "MBPP+")}
    numbers = {"livecodebench": 1, "livecodebench_execution": 1}
    numbers["reval"] = len(answers.questions.task_ids)
    for model, accuracy in (("right", 1.0), ("wrong", 0.0)):
        tasks = found[f"openai-api/stand/{model}"]
        assert tasks == {
            name: dict.fromkeys(verdicts.get(name, (name,)), accuracy)
            | {"samples": numbers.get(name, TASKS)}
            for name in answers.parameters
        }

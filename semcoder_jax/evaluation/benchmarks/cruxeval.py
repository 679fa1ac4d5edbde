"""CRUXEval: predicts the output of a call (CRUXEval-O), or an input for an output (CRUXEval-I).

A row is {"id", "code", "input", "output"} (facebookresearch/cruxeval, cruxeval.jsonl). The function
is `f`; derived data sets may use another name.

`compat` asks, reads and scores as upstream and the official scorer do: it copies the quirks of
their prompts, extracts the answer from prompt and response together, and runs
`assert output == answer` unchanged (so `8 or True` passes). `fixed` asks the same question with
correct quotes, and compares values and types outside the sandbox.

Reads generations made elsewhere as {"sample_0": [answers]}, the official repository's format, or
{"sample_0": [whole texts, prompt included]}, the format of upstream's runner.
"""

import ast
import dataclasses
import json
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipeline.execution.outcomes import Result, Value
from data_pipeline.execution.service import Job, call_job, expression_job
from data_pipeline.files import as_path
from data_pipeline.pyx.prompts import backward_prompt, forward_prompt
from data_pipeline.source.calls import CallError, parse_call
from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.source.quotes import use_double_quotes
from semcoder_jax.evaluation.benchmarks.answer_calls import is_scorable_call
from semcoder_jax.evaluation.benchmarks.answers import (
    extract_input,
    extract_output,
    extract_tagged_answer,
    extract_upstream_answer,
    strip_fence,
)
from semcoder_jax.evaluation.benchmarks.data import DataError, Home, check_new_id, field, read_rows
from semcoder_jax.evaluation.benchmarks.few_shot import input_prompt, output_prompt
from semcoder_jax.evaluation.benchmarks.problem_set import ProblemSet, answer_to
from semcoder_jax.evaluation.harness import Response, list_ids
from semcoder_jax.evaluation.judging import Judging, JudgingMixin
from semcoder_jax.evaluation.results import RIGHT, WRONG, Answer, Reference

HOME = Home(
    "https://raw.githubusercontent.com/facebookresearch/cruxeval/main/data/cruxeval.jsonl",
    "8368b81047dc5014e4caf5a2f97604eff7644e0ecd7415e3ceeb184bbc2e0c96",
)
VARIANTS = ("monologue", "direct", "chain of thought")
STOP = "[/ANSWER]"
TITLES = {"output": "CRUXEval-O", "input": "CRUXEval-I"}
_REFERENCES = {
    "CRUXEval-O": (Reference("SemCoder-S 6.7B", 0.639, "Ding et al. 2024"),),
    "CRUXEval-I": (Reference("SemCoder-S 6.7B", 0.636, "Ding et al. 2024"),),
}
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
_ASSERTED_CALL = re.compile(r"\bassert\s+([A-Za-z_]\w*)\s*\(")
_OPENINGS = {
    "monologue": "[MONOLOGUE]\n",
    "direct": "[ANSWER]\n",
    "chain of thought": "[THOUGHT]\n",
}


@dataclasses.dataclass(frozen=True)
class CruxEvalProblem:
    """Holds a row; `function` is the name of the called function."""

    id: str
    code: str
    input: str
    output: str
    function: str

    @property
    def call(self) -> str:
        return f"{self.function}({self.input})"


class CruxEval(JudgingMixin, ProblemSet):
    """Asks in one direction, "output" or "input"; see `harness.Benchmark`."""

    variants = VARIANTS
    modes = ("compat", "fixed")
    stop = (STOP,)

    def __init__(self, problems: Sequence[CruxEvalProblem], direction: str):
        self.direction = direction
        self.name = f"cruxeval_{direction}"
        self.title = TITLES[direction]
        self.references = {self.title: _REFERENCES[self.title]}
        super().__init__(problems)

    def prompt(self, task_id: str, variant: str, mode: str) -> str:
        problem = self.problems[task_id]
        if variant != "monologue":  # the official prompts, the same in both modes
            if self.direction == "output":
                return output_prompt(problem.code, problem.call, variant)
            return input_prompt(problem.code, problem.output, problem.function, variant)
        quoted = use_double_quotes if mode == "fixed" else str
        code = quoted(problem.code)
        if self.direction == "output":
            return forward_prompt(code, quoted(problem.call), mode=mode)
        return backward_prompt(code, quoted(problem.output), function=problem.function, mode=mode)

    # ---- judging

    def judge_one(self, response: Response, judging: Judging) -> tuple[Answer, ...]:
        """Returns one answer; equal answers to the same problem run once."""
        answer, shown = self._read(response)
        if response.text is None:
            outcome = "missing"
        elif answer is None:
            outcome = "no answer"
        else:
            problem = self.problems[response.task]
            outcome = judging.once(
                (response.task, response.mode, answer),
                lambda: self._verdict(problem, response.mode, answer, judging),
            )
        return (self._answer(response, answer, shown, outcome),)

    def run_of(self, answer: Answer) -> tuple[str, str] | None:
        """Returns the run that a monologue describes: the question's call, or the answer's.

        An answer without a call gives the call "": its monologue counts, without checkable steps.
        Returns None if the answer has no monologue, as in a file of bare answers.
        """
        problem = self.problems[answer.task]
        if not answer.text.startswith(_OPENINGS["monologue"]):
            return None
        if self.direction == "output":
            return problem.code, problem.call
        found = extract_input(answer.answer or "") or ""
        return problem.code, found if found.startswith(problem.function) else ""

    def _read(self, one: Response) -> tuple[str | None, str]:
        """Returns (answer to compare, text of the response to show)."""
        if one.text is None:
            return None, ""
        asserted = extract_output if self.direction == "output" else extract_input
        if one.is_answer:
            answer = one.text if one.mode == "compat" else asserted(strip_fence(one.text))
            return (answer if answer and answer.strip() else None), one.text
        shown = _OPENINGS[one.variant] + one.text
        if one.mode == "compat":
            whole = one.whole or self.prompt(one.task, one.variant, one.mode) + one.text
            answer = extract_upstream_answer(whole, self.direction)
            return (answer if answer.strip() else None), shown
        stated = extract_tagged_answer(shown, finished=one.finish_reason != "length")
        return (None if stated is None else asserted(stated)), shown

    def _verdict(self, problem: CruxEvalProblem, mode: str, answer: str, judging: Judging) -> str:
        if mode == "compat":
            if self._is_skipped(problem, answer):
                return WRONG
            job = assertion_job(self._whole_program(problem), problem.output, answer)
            return _outcome(judging.run(job), None)
        if self.direction == "output":
            return _compare_literals(answer, problem.output)
        if not is_scorable_call(answer, problem.function, problem.code, like=problem.call):
            return "malformed"
        return _outcome(judging.run(input_job(problem.code, answer)), problem.output)

    def _whole_program(self, problem: CruxEvalProblem) -> str:
        """Returns the program as the official scorer runs it."""
        return problem.code

    def _is_skipped(self, problem: CruxEvalProblem, answer: str) -> bool:
        """Whether the official scorer counts `answer` as wrong without running it.

        These are outputs that contain the call, and inputs without one.
        """
        if self.direction == "output":
            return problem.call in answer
        return f"{problem.function}(" not in answer

    def _answer(self, one: Response, answer: str | None, shown: str, outcome: str) -> Answer:
        problem = self.problems[one.task]
        if self.direction == "output":
            asked, expected = f"assert {problem.call} == ??", problem.output
        else:
            asked = f"assert {problem.function}(??) == {problem.output}"
            expected = f"any input that gives it, such as {problem.call}"
        return answer_to(
            one,
            benchmark=self.title,
            outcome=outcome,
            answer=answer,
            question=f"{problem.code.rstrip()}\n\n{asked}",
            expected=expected,
            detail="" if outcome == RIGHT else f"assert {problem.call} == {problem.output}",
            text=shown,
        )

    # ---- generations made elsewhere

    def read_generations(
        self, path: str | Path, *, variants: Sequence[str], modes: Sequence[str]
    ) -> tuple[Sequence[Response], Sequence[str]]:
        """Returns (one response per sample, problem and mode; notes). Raises DataError."""
        texts, repeated = _read_texts(as_path(path))
        if not texts.keys() & self.problems.keys():
            raise DataError(
                f"{path}: none of its {len(texts):,} ids is a problem of this data; expected "
                f"{list_ids(self.problems)}"
            )
        self._check_calls(path, texts)
        most = max((len(answers) for answers in texts.values()), default=0)
        most = max(most, 1)
        variant = variants[0]
        responses = []
        for mode in modes:
            for task in self.problems:
                answers = texts.get(task, [])
                responses += [
                    self._make_response(task, sample, variant, mode, answers[sample : sample + 1])
                    for sample in range(most)
                ]
        notes = []
        if repeated:
            notes.append(f"{repeated:,} ids are in the file more than once: the first counts")
        if missing := self.problems.keys() - texts.keys():
            notes.append(
                f"{len(missing):,} of {len(self.problems):,} problems have no generation in the "
                "file: wrong answers"
            )
        if unknown := texts.keys() - self.problems.keys():
            notes.append(
                f"{len(unknown):,} ids of the file are not among the "
                f"{len(self.problems):,} tasks scored: not used"
            )
        if uneven := sum(len(texts.get(task, [])) not in (0, most) for task in self.problems):
            notes.append(f"{uneven:,} problems have fewer than {most} samples: wrong answers")
        return responses, notes

    def _check_calls(self, path: str | Path, texts: Mapping[str, list[str | None]]) -> None:
        """Raises DataError if the answers call functions, but never that of their problem."""
        calls = _ASSERTED_CALL if self.direction == "output" else _CALL
        called, asked = Counter(), Counter()
        for task in texts.keys() & self.problems.keys():
            function = self.problems[task].function.rpartition(".")[2]
            asked[function] += 1
            for text in filter(None, texts[task]):
                names = set(calls.findall(text))
                if function in names:
                    return
                called.update(names)
        if called:
            raise DataError(
                f"{path}: none of the answers calls {asked.most_common(1)[0][0]}, the function of "
                f"the problems; they call {called.most_common(1)[0][0]}: give the data that they "
                "answer with --config.data=FILE"
            )

    def _make_response(
        self, task: str, sample: int, variant: str, mode: str, found: Sequence[str | None]
    ) -> Response:
        if not found or found[0] is None:
            return Response(task, sample, variant, mode, None)
        text = found[0]
        if "[/PYTHON]" not in text:
            return Response(task, sample, variant, mode, text, is_answer=True)
        tail = text[text.rfind("[/PYTHON]") + len("[/PYTHON]") :]
        opening = _OPENINGS[variant].rstrip()
        response = tail.lstrip("\n").removeprefix(opening).removeprefix("\n")
        return Response(task, sample, variant, mode, response, whole=text)


def assertion_job(code: str, output: str, answer: str) -> Job:
    """Runs the official assertion as a statement: the answer "3, 'note'" is 3 and a message."""
    return expression_job(f"{code}\nassert {output} == {answer}", "True")


def input_job(code: str, call: str) -> Job:
    """Runs an answer's call: its arguments as values if they are literals, else as code."""
    try:
        parse_call(call)
    except CallError:
        return expression_job(code, call)
    return call_job(code, call)


def _compare_literals(answer: str, output: str) -> str:
    try:
        return RIGHT if same_value(parse_literal(answer), parse_literal(output)) else WRONG
    except LiteralError:
        return "malformed"


def _outcome(result: Result, expected: str | None) -> str:
    """Returns the outcome of a run; `expected` None: passes if the run returns a true value."""
    if not isinstance(result.outcome, Value):
        if expected is None:
            return WRONG
        return "malformed" if result.kind == "bad_input" else result.kind
    try:
        if not result.outcome.exact:
            return WRONG
        value = result.outcome.python()
        passes = bool(value) if expected is None else same_value(value, parse_literal(expected))
    except ValueError:
        return WRONG
    return RIGHT if passes else WRONG


# ==== Files


def read_problems(
    source: str | Path | None = None, *, limit: int | None = None
) -> tuple[CruxEvalProblem, ...]:
    """Reads the problems of a file (None: the public one, cached). Raises DataError."""
    problems: dict[str, CruxEvalProblem] = {}
    for where, row in read_rows(HOME if source is None else source).rows[:limit]:
        id, code = field(where, row, "id"), field(where, row, "code")
        check_new_id(problems, where, id)
        problems[id] = CruxEvalProblem(
            id,
            code,
            field(where, row, "input"),
            field(where, row, "output"),
            _function(where, code),
        )
    return tuple(problems.values())


def _function(where: str, code: str) -> str:
    """Returns "f", or the name of the last function if none is named so."""
    try:
        names = [n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{where}: field 'code': no Python ({error})") from error
    if not names:
        raise DataError(f"{where}: field 'code': expected a function")
    return "f" if "f" in names else names[-1]


def _read_texts(path: Path) -> tuple[dict[str, list[str | None]], int]:
    """Returns ({id: texts}, number of repeated ids); None replaces each item that is no text."""
    repeated = 0

    def first_of_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal repeated
        found: dict[str, object] = {}
        for name, value in pairs:
            repeated += name in found
            found.setdefault(name, value)
        return found

    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=first_of_each)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError, zlib.error) as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict) or not all(isinstance(v, list) for v in content.values()):
        raise DataError(f'{path}: expected an object {{"sample_0": [texts], …}}')
    return {
        name: [text if isinstance(text, str) else None for text in texts]
        for name, texts in content.items()
    }, repeated


def load(config: Mapping, direction: str) -> CruxEval:
    """Loads the benchmark of a config with `data` and `max_tasks`. Raises DataError."""
    return CruxEval(read_problems(config["data"], limit=config["max_tasks"]), direction)

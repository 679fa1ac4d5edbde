"""HumanEval with HumanEval+, and MBPP with MBPP+: judges one program by both sets of inputs.

Data has EvalPlus's format (v0.1.10 and v0.2.0; Apache-2.0). A solution passes HumanEval or MBPP if
it passes the base inputs, and the "+" benchmark if it also passes the additional inputs. The
sandbox gets inputs and returns results; expected values never enter it. Comparisons and limits
are those of EvalPlus 0.3.1, except that time limits are of CPU time, not of wall time.

Both modes use the same prompt. `compat` extracts the program as upstream does: it sanitizes the raw
prompt and the text up to the first fence. `fixed` loses fewer programs (see `solutions`).
Generations made elsewhere: see `samples_file`; `compat` runs them unchanged, as EvalPlus does.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.execution.guest.values import TooLarge, decode, encode
from data_pipeline.execution.outcomes import BadInput, Died, Limit, Result, Value
from data_pipeline.execution.service import Job, Limits, Sandbox, series_job
from data_pipeline.pyx.prompts import humaneval_prompt, mbpp_prompt
from data_pipeline.tracing.events import Raised
from semcoder_jax.evaluation.benchmarks.data import DataError, Home, check_new_id, field, read_rows
from semcoder_jax.evaluation.benchmarks.evalplus_oracles import (
    NOT_NONE,
    SETS,
    EvalPlusOracle,
    has_json_arguments,
    mbpp_arguments,
)
from semcoder_jax.evaluation.benchmarks.expected import (
    Expected,
    Suite,
    compute_expected,
    read_expected,
    series_rows,
)
from semcoder_jax.evaluation.benchmarks.problem_set import answer_to
from semcoder_jax.evaluation.benchmarks.samples_file import read_samples
from semcoder_jax.evaluation.benchmarks.solutions import extract_program, parse_program, sanitize
from semcoder_jax.evaluation.harness import Response
from semcoder_jax.evaluation.judging import Judging, JudgingMixin
from semcoder_jax.evaluation.numpy_sandbox import with_plain_results
from semcoder_jax.evaluation.refine import RefineTask, humaneval_task, mbpp_task
from semcoder_jax.evaluation.results import RIGHT, WRONG, Answer, Reference

VARIANTS = ("code",)
HOMES = {
    "humaneval": Home(
        "https://github.com/evalplus/humanevalplus_release/releases/download/v0.1.10/"
        "HumanEvalPlus.jsonl.gz",
        "272720b90ac375502c8ed23cd791c2a93dfb22a911641a494da74a426c09f101",
    ),
    "mbpp": Home(
        "https://github.com/evalplus/mbppplus_release/releases/download/v0.2.0/MbppPlus.jsonl.gz",
        "af43697e8791c4c149bdfd6b489d8b5412507551ac20e28a439f650b8225db63",
    ),
}
TITLES = {"humaneval": ("HumanEval", "HumanEval+"), "mbpp": ("MBPP", "MBPP+")}
_REFERENCES = {"HumanEval": (Reference("SemCoder-S 6.7B", 0.793, "Ding et al. 2024"),)}
_FENCE = "```"
# Limits of EvalPlus: a call may take a second or 4 times the reference's time, whichever is
# longer, and all calls together a minute.
_MIN_SECONDS, _REFERENCE_FACTOR, _ALL_SECONDS = 1.0, 4.0, 60.0
_MEMORY = 2 << 30
_GUESSED_SECONDS = 1e-3  # of one input of a reference that never ran here
_TELLING = 10.0  # CPU seconds to encode large results


@dataclasses.dataclass(frozen=True)
class EvalPlusTask:
    """Holds a row.

    base, plus: argument lists; tolerance: "atol" of the row; plain: whether the arguments are as
    JSON has them, so that the sandbox can take them untagged.
    """

    id: str
    prompt: str
    entry: str
    solution: str
    base: tuple[Any, ...]
    plus: tuple[Any, ...]
    tolerance: float
    plain: bool = False

    @property
    def reference(self) -> str:
        return self.prompt + self.solution


class EvalPlus(JudgingMixin):
    """Asks for the programs of one family, "humaneval" or "mbpp".

    See `harness.Benchmark` and `refine_harness.CodeBenchmark`.
    """

    variants = VARIANTS
    modes = ("compat", "fixed")
    stop = (f"\n{_FENCE}",)

    def __init__(
        self, tasks: Sequence[EvalPlusTask], family: str, *, cache: str | Path | None = None
    ):
        self.name = self.family = family
        self.titles = TITLES[family]
        self.references = {name: _REFERENCES[name] for name in self.titles if name in _REFERENCES}
        self.tasks = {task.id: task for task in tasks}
        self._cache = cache
        self._expected: dict[str, tuple[Expected, Expected] | None] = {}
        self._suite_of: dict[tuple[str, int], Suite] = {}

    @property
    def task_ids(self) -> Sequence[str]:
        return tuple(self.tasks)

    def prompt(self, task_id: str, variant: str, mode: str) -> str:
        render = humaneval_prompt if self.family == "humaneval" else mbpp_prompt
        return render(self.tasks[task_id].prompt)

    @property
    def refine_tasks(self) -> Sequence[RefineTask]:
        make = humaneval_task if self.family == "humaneval" else mbpp_task
        return [
            make({"task_id": task.id, "prompt": task.prompt, "entry_point": task.entry})
            for task in self.tasks.values()
        ]

    # ---- reading

    def solution(self, response: Response) -> str | None:
        """Extracts the whole program from a response, or returns None."""
        if response.text is None or not response.text.strip():
            return None
        task = self.tasks[response.task]
        if response.is_answer:
            if response.mode == "compat" or parse_program(response.text) is not None:
                return response.text
            return extract_program(response.text, task.entry)
        opened = self.family == "humaneval"  # the prompt ends with the beginning of the program
        if response.mode == "compat":
            return sanitize(task.prompt + response.text.split(_FENCE)[0], task.entry)
        asked = task.prompt.strip() if opened else ""
        return extract_program(response.text, task.entry, opened=asked, stub=asked)

    def read_generations(
        self, path: str | Path, *, variants: Sequence[str], modes: Sequence[str]
    ) -> tuple[Sequence[Response], Sequence[str]]:
        prompts = {task.id: task.prompt for task in self.tasks.values()}
        return read_samples(path, prompts, variant=variants[0], modes=modes)

    # ---- judging

    def cost(self, response: Response) -> float:
        """Returns the seconds that the reference takes, or a guess if it never ran here."""
        known = self._known(response.task)
        if known is None:
            task = self.tasks[response.task]
            return _GUESSED_SECONDS * (len(task.base) + len(task.plus))
        return sum(sum(part.seconds) for part in known)

    def judge_one(self, response: Response, judging: Judging) -> tuple[Answer, ...]:
        """Returns two answers: by the base inputs, and by all inputs."""
        return self._answers(response, self.solution(response), judging)

    def judge_solutions(
        self, solutions: Iterable[tuple[Response, str | None]], sandbox: Sandbox
    ) -> Iterator[Answer]:
        """Yields two answers per program; runs equal programs for the same task once."""
        solutions = dict(solutions)
        with Judging(_Extracted(self, solutions), sandbox) as judging:
            for answers in judging.map(solutions):
                yield from answers

    def verdicts(
        self, programs: Sequence[tuple[str, str]], sandbox: Sandbox, mode: str = "compat"
    ) -> dict[tuple[str, str], tuple["Verdict", "Verdict"]]:
        """Maps each (task, program) to its verdicts by the base inputs and by all inputs."""
        said = [
            Response(task, number, "code", mode, program, is_answer=True)
            for number, (task, program) in enumerate(programs)
        ]
        with Judging(_Extracted(self, {one: one.text for one in said}), sandbox) as judging:
            found = list(judging.map(said))
        return {
            key: tuple(Verdict(answer.outcome, answer.detail) for answer in answers)
            for key, answers in zip(programs, found, strict=True)
        }

    def _answers(
        self, response: Response, program: str | None, judging: Judging
    ) -> tuple[Answer, ...]:
        if program is None:
            outcome = "missing" if response.text is None else "no answer"
            verdicts = (Verdict(outcome, ""),) * 2
        else:
            judging.count_imports(response, program)
            verdicts = self._verdicts(response.task, program, response.mode, judging)
        return tuple(
            self._answer(response, program, title, verdict)
            for title, verdict in zip(self.titles, verdicts, strict=True)
        )

    def _verdicts(
        self, id: str, program: str, mode: str, judging: Judging
    ) -> tuple["Verdict", "Verdict"]:
        return judging.once((id, program), lambda: self._judge_program(id, program, judging))[mode]

    def _judge_program(
        self, id: str, program: str, judging: Judging
    ) -> dict[str, tuple["Verdict", "Verdict"]]:
        """Returns the verdicts by the base inputs and by all inputs, by mode.

        Runs the additional inputs only if the base inputs pass in some mode.
        """
        base = self._verdicts_of_part(id, program, 0, judging)
        if not any(verdict.right for verdict in base.values()):
            return {mode: (verdict, verdict) for mode, verdict in base.items()}
        plus = self._verdicts_of_part(id, program, 1, judging)
        return {
            mode: (verdict, plus[mode] if verdict.right else verdict)
            for mode, verdict in base.items()
        }

    def _verdicts_of_part(
        self, id: str, program: str, part: int, judging: Judging
    ) -> dict[str, "Verdict"]:
        result = self._run(id, program, part, judging)
        if self._is_exact(id, part, result):
            return dict.fromkeys(self.modes, Verdict(RIGHT, ""))
        return {mode: self._verdict(self.tasks[id], part, result, mode) for mode in self.modes}

    def _is_exact(self, id: str, part: int, result: Result) -> bool:
        """Whether all results equal the reference's, which passes by every rule but find_zero's."""
        exact = self._expected[id][part].exact_answer
        is_plain = isinstance(result.outcome, Value) and self.tasks[id].entry != "find_zero"
        return is_plain and exact is not None and result.outcome.tree == exact

    def _run(self, id: str, program: str, part: int, judging: Judging) -> Result:
        task, expected = self.tasks[id], self._expect(id, judging)[part]
        seconds = [max(_MIN_SECONDS, _REFERENCE_FACTOR * taken) for taken in expected.seconds]
        together = min(sum(seconds), _ALL_SECONDS) + 2.0
        limits = Limits(
            cpu_seconds=together + _TELLING,
            wall_seconds=2 * together + 30,
            memory_bytes=_MEMORY,
            answer_bytes=64 << 20,
        )
        suite = self._suite(id, part)
        if judging.has_numpy(program):
            program = with_plain_results(program, task.entry, collects=suite.collect is not None)
        return judging.run(
            series_job(
                program,
                task.entry,
                suite.inputs,
                seconds,
                collect=suite.collect,
                plain=suite.plain,
                limits=limits,
            )
        )

    def _expect(self, id: str, judging: Judging) -> tuple[Expected, Expected]:
        return judging.once(("expected", id), lambda: self.expected(id, judging.run))

    def expected(self, id: str, run: Callable[[Job], Result]) -> tuple[Expected, Expected]:
        """Returns the reference's results on the base inputs and on the additional ones."""
        known = self._known(id)
        if known is None:
            found = compute_expected(self._suites(id), run, cache=self._cache)
            known = self._expected[id] = tuple(found.values())
        return known

    def _known(self, id: str) -> tuple[Expected, Expected] | None:
        """Returns what the reference gave in an earlier run, or None."""
        if id not in self._expected:
            self._expected[id] = read_expected(self._suites(id), cache=self._cache)
        return self._expected[id]

    def _suites(self, id: str) -> dict[str, Suite]:
        return {
            f"{id} ({kind})": self._suite(id, part) for part, kind in enumerate(("base", "plus"))
        }

    def _verdict(self, task: EvalPlusTask, part: int, result: Result, mode: str) -> "Verdict":
        rows = series_rows(result)
        if rows is None:
            return _whole_run_verdict(result)
        inputs = task.plus if part else task.base
        trees = self._expected[task.id][part].trees
        judge = EvalPlusOracle(self.family, task.entry, task.tolerance, mode)
        for arguments, tree, row in zip(inputs, trees, rows, strict=False):
            kind, *what = row
            if kind == "value" and judge.passes(arguments, what[0], tree):
                continue
            told = _text_of(tree)
            if task.entry in NOT_NONE:
                told = "None" if tree is None else "a match"
            call = f"{task.entry}({', '.join(_text(value) for value in arguments)})"
            if kind == "exception":
                return Verdict("exception", f"{call} raises {': '.join(what)}, expected {told}")
            if kind == "limit":
                passed = "memory limit" if "memory" in what else "output limit"
                outcome = passed if what else "time limit"
                return Verdict(outcome, f"{call} passes the {outcome}, expected {told}")
            return Verdict(WRONG, f"{call} returns {_text_of(what[0])}, expected {told}")
        if len(rows) < len(inputs):
            return Verdict("died", "the run ended before its last input")
        return Verdict(RIGHT, "")

    def _suite(self, id: str, part: int) -> Suite:
        """Returns the inputs of a part, encoded once for all programs and modes."""
        if (id, part) not in self._suite_of:
            task = self.tasks[id]
            rows = task.plus if part else task.base
            inputs = json.dumps(rows if task.plain else [encode(row) for row in rows])
            self._suite_of[id, part] = Suite(
                task.reference, task.entry, inputs, len(rows), self._collect(task), task.plain
            )
        return self._suite_of[id, part]

    def _collect(self, task: EvalPlusTask) -> str | None:
        return "set" if self.family == "mbpp" and task.entry in SETS else None

    def _answer(
        self, response: Response, program: str | None, title: str, verdict: "Verdict"
    ) -> Answer:
        task = self.tasks[response.task]
        opened = f"{_FENCE}python\n" + (task.prompt.strip() if self.family == "humaneval" else "")
        return answer_to(
            response,
            benchmark=title,
            outcome=verdict.outcome,
            answer=program,
            question=task.prompt.strip(),
            expected="",
            detail=verdict.detail,
            text=(response.text or "")
            if response.is_answer or response.text is None
            else opened + response.text,
        )


class _Extracted:
    """Judges responses by programs that are extracted already."""

    def __init__(self, benchmark: EvalPlus, programs: Mapping[Response, str | None]):
        self.cost, self._benchmark, self._programs = benchmark.cost, benchmark, programs

    def judge_one(self, response: Response, judging: Judging) -> tuple[Answer, ...]:
        return self._benchmark._answers(response, self._programs[response], judging)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Holds the outcome (see `Answer`) and, as `detail`, the first failing call."""

    outcome: str
    detail: str

    @property
    def right(self) -> bool:
        return self.outcome == RIGHT


def _whole_run_verdict(result: Result) -> Verdict:
    """Returns the verdict of a run that made no call, or that the sandbox ended."""
    match result.outcome:
        case BadInput(reason="syntax", message=message):
            return Verdict("syntax error", message[:500])
        case BadInput(message=message):
            return Verdict("no function", message[:500])
        case Raised(type=type, message=message):
            return Verdict("exception", f"the program raises {type}: {message}"[:500])
        case Limit(kind="cpu" | "wall"):
            return Verdict("time limit", "the run passes its limit of time")
        case Limit(kind=kind):
            return Verdict(f"{kind} limit", f"the run passes its limit of {kind}")
        case Died():
            return Verdict("died", "the program ended its process")
    return Verdict("died", "the run gave no results")


def _text(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # such as an int with too many digits
        return "…"
    return text if len(text) <= 200 else f"{text[:200]}…"


def _text_of(tree: Any) -> str:
    if isinstance(tree, dict):
        return "a value too large to show"
    try:
        return _text(decode(tree))
    except ValueError:
        return "a value that cannot be read"


# ==== Files


def read_tasks(
    family: str, source: str | Path | None = None, *, limit: int | None = None
) -> tuple[EvalPlusTask, ...]:
    """Reads the tasks of a file (None: the public one, cached). Raises DataError."""
    tasks: dict[str, EvalPlusTask] = {}
    for where, row in read_rows(HOMES[family] if source is None else source).rows[:limit]:
        id = field(where, row, "task_id")
        check_new_id(tasks, where, id)
        tolerance = row.get("atol")
        if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)):
            raise DataError(f"{where}: field 'atol': expected a number; is this EvalPlus's data?")
        tasks[id] = EvalPlusTask(
            id,
            field(where, row, "prompt"),
            field(where, row, "entry_point"),
            field(where, row, "canonical_solution"),
            _inputs(family, where, id, field(where, row, "base_input", list)),
            # Tasks without additional inputs, such as Mbpp/793, have {} here.
            _inputs(
                family,
                where,
                id,
                [] if row.get("plus_input") == {} else field(where, row, "plus_input", list),
            ),
            float(tolerance),
            family != "mbpp" or has_json_arguments(id),
        )
    return tuple(tasks.values())


def _inputs(family: str, where: str, id: str, rows: list[Any]) -> tuple[Any, ...]:
    try:
        if family == "mbpp":
            rows = mbpp_arguments(id, rows)
            for row in () if has_json_arguments(id) else rows:
                encode(row)  # raises if JSON cannot represent it
        if not all(isinstance(row, list) for row in rows):
            raise TypeError("an input is a list of arguments")
    except (TypeError, ValueError, IndexError, AttributeError, TooLarge) as error:
        raise DataError(f"{where}: inputs that the task {id} cannot take ({error})") from error
    return tuple(rows)


def load(config: Any, family: str) -> EvalPlus:
    return EvalPlus(read_tasks(family, config.data, limit=config.max_tasks), family)

"""LiveCodeBench, code execution: outputs of contest programs, by date.

A row (livecodebench/execution-v2): id, code, function_name, input (a whole call), output,
contest_date. Prompts: LiveCodeBench, lcb_runner (MIT). An answer that contains the call counts as
wrong; LiveCodeBench's harness does not count it at all.
"""

import ast
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipeline.pyx.prompts import forward_prompt
from data_pipeline.source.quotes import use_double_quotes
from semcoder_jax.evaluation.benchmarks import cruxeval
from semcoder_jax.evaluation.benchmarks.contest_dates import HUB, rows_in_window
from semcoder_jax.evaluation.benchmarks.data import Home, check_new_id, field
from semcoder_jax.evaluation.benchmarks.few_shot import output_prompt
from semcoder_jax.evaluation.benchmarks.livecodebench import IMPORTS
from semcoder_jax.evaluation.results import Answer, Reference

EXECUTION_HOME = Home(f"{HUB}/execution-v2/resolve/main/test.jsonl")


@dataclasses.dataclass(frozen=True)
class ExecutionProblem(cruxeval.CruxEvalProblem):
    """Holds a row of code execution; `input` is the whole call."""

    @property
    def call(self) -> str:
        return self.input


class LiveCodeBenchExecution(cruxeval.CruxEval):
    """Asks as CRUXEval-O does, with other programs and examples; see `harness.Benchmark`."""

    def __init__(self, problems: Sequence[ExecutionProblem]):
        super().__init__(problems, "output")
        self.name, self.title = "livecodebench_execution", "LCB-Execution"
        self.references = {self.title: (Reference("SemCoder-S 6.7B", 0.612, "Ding et al. 2024"),)}

    def prompt(self, task_id: str, variant: str, mode: str) -> str:
        problem = self.problems[task_id]
        if variant != "monologue":
            return output_prompt(problem.code, problem.call, variant, "livecodebench")
        quoted = use_double_quotes if mode == "fixed" else str
        return forward_prompt(quoted(problem.code), quoted(problem.call), mode=mode)

    def run_of(self, answer: Answer) -> tuple[str, str] | None:
        """Returns None for a program that needs added imports: they would shift its lines."""
        found = super().run_of(answer)
        return None if found is None or _needs_imports(found[0]) else found

    def _whole_program(self, problem: cruxeval.CruxEvalProblem) -> str:
        return f"{IMPORTS}\n{problem.code}"


def _needs_imports(code: str) -> bool:
    """Whether the program uses a name that it does not bind and that is no builtin."""
    tree = ast.parse(code)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    bound = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.ExceptHandler)) and node.name
    }
    bound |= {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    return bool(names - bound - set(vars(__import__("builtins"))))


# ==== Files


def read_execution_problems(
    source: str | Path | Home = EXECUTION_HOME,
    *,
    start_date: str | None = None,
    end_date: str | None = None,
    limit: int | None = None,
) -> tuple[ExecutionProblem, ...]:
    """Reads the problems with contest dates from start to end, inclusive. Raises DataError."""
    problems: dict[str, ExecutionProblem] = {}
    for where, row in rows_in_window([source], start_date, end_date):
        if len(problems) == limit:
            break
        id, code = str(field(where, row, "id")), field(where, row, "code")
        check_new_id(problems, where, id)
        cruxeval._function(where, code)
        problems[id] = ExecutionProblem(
            id,
            code,
            field(where, row, "input"),
            field(where, row, "output"),
            field(where, row, "function_name"),
        )
    return tuple(problems.values())


def load(config: Mapping) -> LiveCodeBenchExecution:
    """Loads the benchmark of a config with data, start_date, end_date and max_tasks."""
    return LiveCodeBenchExecution(
        read_execution_problems(
            EXECUTION_HOME if config["data"] is None else config["data"],
            start_date=config["start_date"],
            end_date=config["end_date"],
            limit=config["max_tasks"],
        )
    )

"""Makes the records of one seed: narrates its runs and verifies every statement.

Does not depend on Beam. The same seed, options and code give the same rows in any process.
"""

import ast
import hashlib
import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from data_pipeline.builder.expectations import expectations, recheck_all
from data_pipeline.builder.held_out import EVAL, TRAIN, function_digests
from data_pipeline.builder.options import BuildOptions
from data_pipeline.builder.tally import Tally
from data_pipeline.endpoint.client import EndpointError
from data_pipeline.endpoint.reply_cache import CachedClient, Spending
from data_pipeline.execution.service import Sandbox
from data_pipeline.faults import faults, sample_faults
from data_pipeline.monologue.backward import backward_monologue
from data_pipeline.monologue.forward import NarrationError, forward_monologue
from data_pipeline.pyx.control_tokens import find_control_text
from data_pipeline.pyx.prompts import backward_field, code_field, forward_field, training_prompt
from data_pipeline.pyx.records import Record, RecordError, make_record, record_to_row
from data_pipeline.seeds import Seed
from data_pipeline.teacher.teacher import Teacher, TeacherQuestion
from data_pipeline.testcases import Case, cases
from data_pipeline.verify import CONTRADICTED, verify_trace

_T = TypeVar("_T")


@dataclass(frozen=True)
class DeadLetter:
    """Records an item that could not be processed and was left out of the build.

    Args:
      stage: "read", "inputs", "fwd_mnl", "bwd_mnl", "nl", "fault", "recheck" or "deadline".
      item: a file, a seed's id or a record's id.
      origin: where in the source it comes from.
      reason: one line.
      detail: file and line in our code that raised; "" if a check rejected the item.
    """

    stage: str
    item: str
    origin: str
    reason: str
    detail: str = ""

    @classmethod
    def of(cls, stage: str, item: str, origin: str, error: BaseException) -> "DeadLetter":
        steps = traceback.extract_tb(error.__traceback__)
        where = f"{Path(steps[-1].filename).name}:{steps[-1].lineno}" if steps else ""
        message = " ".join(str(error).split())[:300]
        return cls(stage, item, origin, f"{type(error).__name__}: {message}", where)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass
class SeedRows:
    """Holds the results of a seed: its split and records, evaluation problems if it is held out.

    Args:
      functions: digests of the functions and classes of its program, if it gave records.
      variants: id of a training record with a faulty program -> {"functions": digests of those of
        that program, "length"}.
    """

    split: str
    records: list[Record] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    functions: set[str] = field(default_factory=set)
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)


def record_id(kind: str, seed_id: str, call: str | None = None) -> str:
    """Returns an id in upstream's form, "fwd_mnl_108213_ipt9".

    The input's number is a hash of the call, so it does not depend on the build's other inputs.
    """
    if call is None:
        return f"{kind}_{seed_id}"
    number = int(hashlib.sha256(call.encode()).hexdigest()[:8], 16)
    return f"{kind}_{seed_id}_ipt{number}"


def seed_rows(
    seed: Seed,
    sandbox: Sandbox,
    options: BuildOptions,
    length_of: Callable[[str], int] = len,
    new_client: Callable[[], CachedClient] | None = None,
    *,
    held_out: bool = False,
) -> SeedRows:
    """Makes all records of a seed. Errors caused by the seed become dead letters.

    Args:
      length_of: measures prompt and response together, e.g. in tokens.
      new_client: makes a client of the teacher's endpoint, if the options name one.
      held_out: whether its records are for the split "eval".

    Raises EndpointError if that endpoint cannot be used at all.
    """
    client = None if new_client is None or options.teacher is None else new_client()
    split = EVAL if held_out else TRAIN
    return _RowWriter(seed, sandbox, options, length_of, client, split).write()


def timeout_rows(seed: Seed, error: Exception, *, held_out: bool = False) -> SeedRows:
    """Returns only a dead letter for a seed that reached the time limit.

    Partial results are dropped because they would depend on where the work stopped.
    """
    out = SeedRows(EVAL if held_out else TRAIN)
    out.tally.count("functions", "stopped")
    out.tally.count("dead letters", "deadline")
    reason = f"{type(error).__name__}: {error}"
    out.dead.append(DeadLetter("deadline", seed.id, seed.origin, reason))
    return out


def _faulty_functions(record: Record) -> set[str]:
    programs = {one.program for one in expectations(record) if not one.holds}
    return {digest for program in programs for digest in function_digests(program)}


def _has_parameters(program: str, name: str) -> bool:
    """Returns whether the function `name` of a program takes arguments."""
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name == name
        and any(isinstance(part, ast.arg) for part in ast.walk(node.args))
        for node in ast.parse(program).body
    )


class _RowWriter:
    def __init__(self, seed, sandbox, options, length_of, client, split):
        self.seed: Seed = seed
        self.code = seed.code.rstrip()  # rstrip keeps the line numbers
        self.sandbox: Sandbox = sandbox
        self.options: BuildOptions = options
        self.length_of: Callable[[str], int] = length_of
        self.client: CachedClient | None = client
        drawn = hashlib.sha256(f"{options.seed}/{seed.id}".encode()).hexdigest()
        self.random_seed = int(drawn[:8], 16)
        self.out = SeedRows(split)

    def write(self) -> SeedRows:
        self._write()
        return self.out

    def _write(self) -> None:
        kept = self._attempt("inputs", self.seed.id, self._cases) or ()
        tally = self.out.tally
        tally.count("functions", "with records" if kept else "without a kept run")
        drafts = [*self._forward(kept), *self._backward(kept), *self._code(kept)]
        drafts += self._attempt("fault", self.seed.id, lambda: self._faults(kept)) or []
        self._keep(drafts)
        if self.client is not None:
            self._count_spending(self.client.spending)
        if self.out.records:
            self.out.functions = function_digests(self.code)
        if self.out.split == EVAL:
            self.out.problems = [
                {
                    "id": record_id("problem", self.seed.id, case.call),
                    "program": self.code,
                    "call": case.call,
                    "output": case.output,
                }
                for case in kept
                if find_control_text(f"{self.code} {case.call} {case.output}") is None
            ]

    # ---- runs

    def _cases(self) -> Sequence[Case]:
        explored = cases(
            self.seed, self.sandbox, limit=self.options.inputs, random_seed=self.random_seed
        )
        tally = self.out.tally
        tally.count("runs", "kept", len(explored.cases))
        tally.count_all("runs refused", explored.refused)
        tally.count("inputs", "of annotated functions", explored.annotated)
        tally.count("inputs", "that keep to annotations", explored.lawful)
        tally.count("inputs", "paths", explored.paths)
        name = f"{self.seed.origin} {self.seed.name}"
        tally.tries(name, len(explored.cases), explored.refused.total())
        for name, number in asdict(explored.coverage).items():
            tally.count("coverage", name, number)
        return explored.cases

    # ---- the four kinds

    def _forward(self, kept: Sequence[Case]) -> list[Record]:
        drafts = []
        for case, taught in zip(kept, self._ask_teacher("fwd_mnl", kept), strict=True):
            name = record_id("fwd_mnl", self.seed.id, case.call)

            def draft(case=case, name=name, taught=taught) -> Record | None:
                response = taught or forward_monologue(case.trace, seed=self._wording(name))
                claims = verify_trace(case.trace, response)
                wrong = next((c for c in claims if c.verdict == CONTRADICTED), None)
                if wrong is not None:
                    self._bury("fwd_mnl", name, f"contradicted: {wrong.text}; run: {wrong.truth}")
                    return None
                for claim in claims:
                    self.out.tally.count("claims", claim.verdict)
                field_text = forward_field(self.code, case.call)
                return make_record(name, "fwd_mnl", field_text, response)

            drafts.append(self._attempt("fwd_mnl", name, draft))
        return [draft for draft in drafts if draft is not None]

    def _backward(self, kept: Sequence[Case]) -> list[Record]:
        """Makes one row per output, for its shortest call: any input with that output is right."""
        witness: dict[str, Case] = {}
        for case in sorted(kept, key=lambda case: (len(case.call), case.call)):
            witness.setdefault(case.output, case)
        if not _has_parameters(self.code, self.seed.name):  # the answer could only be `f()`
            reason = "bwd_mnl: the function takes no argument"
            self.out.tally.count("monologues refused", reason, len(witness))
            return []
        drafts = []
        shortest = list(witness.values())
        for case, taught in zip(shortest, self._ask_teacher("bwd_mnl", shortest), strict=True):
            name = record_id("bwd_mnl", self.seed.id, case.call)

            def draft(case=case, name=name, taught=taught) -> Record:
                response = taught or backward_monologue(
                    case.trace, case.call, seed=self._wording(name)
                )
                field_text = backward_field(self.code, case.output, function=self.seed.name)
                return make_record(name, "bwd_mnl", field_text, response)

            drafts.append(self._attempt("bwd_mnl", name, draft))
        return [draft for draft in drafts if draft is not None]

    def _ask_teacher(self, kind: str, kept: Sequence[Case]) -> list[str | None]:
        """Returns the teacher's accepted monologue per case; None means the narrator writes it."""
        options = self.options.teacher
        if options is None or self.client is None:
            return [None] * len(kept)
        teacher = Teacher(
            self.client,
            self.sandbox,
            attempts=options.attempts,
            temperature=options.temperature,
            chat=options.chat,
            examples=options.chat,
        )
        questions = [
            TeacherQuestion(kind, self.code, self.seed.name, case.call, case.output, case.trace)
            for case in kept
        ]
        lessons = self._attempt(kind, self.seed.id, lambda: list(teacher.teach(questions)))
        self.out.tally.count("teacher", "monologues asked", teacher.counts.questions)
        self.out.tally.count("teacher", "monologues kept", teacher.counts.kept)
        self.out.tally.count_all("answers refused", teacher.counts.refused)
        return [None] * len(kept) if lessons is None else [lesson.response for lesson in lessons]

    def _count_spending(self, spent: Spending) -> None:
        usage = spent.usage + spent.cached_usage
        self.out.tally.count("teacher", "requests", spent.asked + spent.cached)
        self.out.tally.count("teacher", "prompt tokens", usage.prompt_tokens)
        self.out.tally.count("teacher", "completion tokens", usage.completion_tokens)

    def _code(self, kept: Sequence[Case]) -> list[Record]:
        if not kept or not self.seed.nl.strip():
            return []
        # Prefers an example from the source, else the first case, which covers most.
        shown = min(kept, key=lambda c: (c.call not in self.seed.calls, len(c.output) > 80))
        name = record_id("nl", self.seed.id)

        def draft() -> Record:
            assertion = f"assert {shown.call} == {shown.output}"
            field_text = code_field(self.seed.nl, assertion)
            return make_record(name, "nl", field_text, f"```python\n{self.code}\n```")

        made = self._attempt("nl", name, draft)
        return [] if made is None else [made]

    def _faults(self, kept: Sequence[Case]) -> list[Record]:
        if not kept or not self.options.faults:
            return []
        found = faults(
            self.seed,
            kept,
            self.sandbox,
            random_seed=self.random_seed,
            limit=self.options.faults,
        )
        kept_faults, refused = list(found.kept), found.refused
        if self.client is not None and self.options.teacher and self.options.teacher.faults:
            sampled = sample_faults(
                self.seed,
                kept,
                self.sandbox,
                self.client,
                samples=self.options.teacher.faults,
                chat=self.options.teacher.chat,
                limit=self.options.faults,
                random_seed=self.random_seed,
            )
            kept_faults += sampled.kept
            refused = refused + sampled.refused
        self.out.tally.count_all("faults refused", refused)
        for fault in kept_faults:
            self.out.tally.count("fault operators", fault.operator)
        return [fault.record() for fault in kept_faults]

    # ---- what is kept

    def _keep(self, drafts: Sequence[Record]) -> None:
        """Adds distinct drafts to the output that pass the recheck and the length limit."""
        unique = {draft.id: draft for draft in reversed(drafts)}
        drafts = list(reversed(unique.values()))
        verdicts = self._attempt("recheck", self.seed.id, lambda: recheck_all(drafts, self.sandbox))
        if verdicts is None:
            return
        for draft, wrong in zip(drafts, verdicts, strict=True):
            if wrong is not None:
                self._bury("recheck", draft.id, wrong)
                continue
            mark = find_control_text(f"{draft.prompt_field} {draft.response}")
            if mark is not None:
                self.out.tally.count("records refused", f"text of a control token: {mark}")
                continue
            length = self.length_of(training_prompt(draft) + draft.response)
            if self.options.max_length is not None and length > self.options.max_length:
                self.out.tally.count("records refused", f"longer than {self.options.max_length}")
                continue
            rank = hashlib.sha256(draft.id.encode()).hexdigest()[:16]
            row = record_to_row(draft) | {"id": draft.id, "origin": self.seed.origin}
            self.out.tally.record(draft.kind, self.out.split, length, rank, row)
            self.out.records.append(draft)
            if draft.kind == "fault" and self.out.split == TRAIN:
                self.out.variants[draft.id] = {
                    "functions": sorted(_faulty_functions(draft)),
                    "length": length,
                }

    def _wording(self, name: str) -> int:
        return int(hashlib.sha256(f"{self.options.seed}/{name}".encode()).hexdigest()[:8], 16)

    def _attempt(self, stage: str, item: str, work: Callable[[], _T]) -> _T | None:
        """Runs `work`; None if narration is refused (counted) or `work` fails (dead letter)."""
        try:
            return work()
        except NarrationError as error:
            self.out.tally.count("monologues refused", f"{stage}: {error}")
        except RecordError as error:
            self._bury(stage, item, str(error))
        except EndpointError as error:
            if error.final:  # not caused by this seed, e.g. a wrong key
                raise
            self.out.dead.append(DeadLetter.of(stage, item, self.seed.origin, error))
            self.out.tally.count("dead letters", stage)
        except Exception as error:  # unusual programs may raise anything
            self.out.dead.append(DeadLetter.of(stage, item, self.seed.origin, error))
            self.out.tally.count("dead letters", stage)
        return None

    def _bury(self, stage: str, item: str, reason: str) -> None:
        self.out.dead.append(DeadLetter(stage, item, self.seed.origin, reason))
        self.out.tally.count("dead letters", stage)

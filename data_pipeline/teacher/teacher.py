"""Teachers by endpoint: any OpenAI-compatible model writes monologues; what is wrong is not kept.

    with Client(Endpoint(url, model)) as client, Sandbox() as sandbox:
        teacher = Teacher(CachedClient(client, ReplyCache("replies.jsonl")), sandbox)
        for lesson in teacher.teach([question_forward(case), ...]):
            if lesson.response is not None: ...
        print(teacher.counts.summary())

A model is never told what it has to find. Its answer is read as data: the asserted literal is held
against the executed value (forward), the input it names is run (backward), and each step of the
monologue that can be checked is held against the trace. One contradicted step refuses the answer.
"""

import ast
import re
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tqdm import tqdm

from data_pipeline.endpoint.client import Ask, EndpointError, Reply
from data_pipeline.endpoint.reply_cache import CachedClient, Spending
from data_pipeline.execution.outcomes import Value
from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.pyx.prompts import backward_field, forward_field
from data_pipeline.source.calls import Call, CallError, parse_call
from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.teacher.prompts import HEADINGS, Asked, messages, text
from data_pipeline.tracing import Trace
from data_pipeline.verify import CONFIRMED, CONTRADICTED, Claim, verify_trace

STOP = "[/ANSWER]"
MAX_ASSERTION = 20_000  # characters
_TRACE = TraceLimits(ends_run=True)
_AHEAD = 4  # questions under way for each request at once, so that order costs no time


@dataclass(frozen=True)
class Question:
    """What is asked.

    kind:     "fwd_mnl" or "bwd_mnl"
    program:  the program; function: its entry
    call:     the run that is known; of a backward question the teacher never sees it
    output:   text of the value that it returned
    trace:    of that run (forward)
    """

    kind: str
    program: str
    function: str
    call: str
    output: str
    trace: Trace

    def __post_init__(self) -> None:
        if self.kind not in HEADINGS:
            raise ValueError(f"kind: expected one of {', '.join(HEADINGS)}; got {self.kind!r}")

    @property
    def asked(self) -> Asked:
        shown = self.call if self.kind == "fwd_mnl" else self.output
        return Asked(self.kind, self.program, shown, self.function)

    @property
    def prompt_field(self) -> str:
        """The instruction field of the record that an accepted answer becomes."""
        if self.kind == "fwd_mnl":
            return forward_field(self.program, self.call)
        return backward_field(self.program, self.output, function=self.function)


@dataclass(frozen=True)
class Lesson:
    """What came of a question.

    response: the accepted answer in the release's form, None where none was
    reason:   why the last answer was refused, "" of an accepted one
    attempts: answers looked at
    claims:   of the step verifier on the accepted answer
    """

    question: Question
    response: str | None
    reason: str
    attempts: int
    claims: tuple[Claim, ...] = ()


@dataclass
class Counts:
    """Of answers and questions, over a teacher's life. refused: answers, by reason."""

    spending: Spending
    questions: int = 0
    kept: int = 0
    answers: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    confirmed_claims: int = 0

    def summary(self) -> str:
        """A table for a terminal."""
        spent = self.spending
        usage = spent.usage + spent.cached_usage
        share = f"{100 * self.kept / self.questions:.1f} %" if self.questions else "–"
        rows = [
            ("questions", f"{self.questions:,}"),
            ("monologues kept", f"{self.kept:,} ({share})"),
            ("answers looked at", f"{self.answers:,}"),
            *((f"  refused: {why}", f"{count:,}") for why, count in self.refused.most_common()),
            ("steps confirmed", f"{self.confirmed_claims:,}"),
            ("requests", f"{spent.asked:,} made, {spent.cached:,} from the cache"),
            ("tokens", f"{usage.prompt_tokens:,} in, {usage.completion_tokens:,} out"),
            ("cost", f"{spent.cost:,.4f} in this run, {spent.total_cost:,.4f} in all"),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


class Teacher:
    """Asks one endpoint for monologues.

    attempts:       answers asked for one question until one is accepted
    temperature:    of sampling; each attempt has a seed of its own
    max_new_tokens: of an answer; one cut there is refused
    chat:           /chat/completions with rules and an example; else /completions
    examples:       of completions: whether rules and an example stand before the question (a model
                    trained on the format needs none)
    """

    def __init__(
        self,
        client: CachedClient,
        sandbox: Sandbox,
        *,
        attempts: int = 2,
        temperature: float = 0.7,
        max_new_tokens: int = 2048,
        chat: bool = True,
        examples: bool = True,
    ):
        if attempts < 1:
            raise ValueError(f"attempts: expected at least 1; got {attempts}")
        self.client, self.sandbox = client, sandbox
        self.attempts, self.temperature = attempts, temperature
        self.max_new_tokens, self.chat, self.examples = max_new_tokens, chat, examples
        self.counts = Counts(client.spending)
        self._lock = threading.Lock()

    def teach(self, questions: Iterable[Question], *, progress: bool = False) -> Iterator[Lesson]:
        """A lesson for each question, in order; questions are read as there is room for more.

        Raises EndpointError where the endpoint cannot be used at all (key, address, model). A
        question that got no answer is a lesson without response.
        """
        concurrency = self.client.client.endpoint.concurrency
        pool = ThreadPoolExecutor(concurrency, "teacher")
        waiting: deque[Future[Lesson]] = deque()
        total = len(questions) if hasattr(questions, "__len__") else None  # type: ignore[arg-type]
        bar = tqdm(total=total, desc="teacher", unit="question", disable=not progress)
        try:
            for question in questions:
                waiting.append(pool.submit(self.lesson, question))
                if len(waiting) >= _AHEAD * concurrency:
                    yield self._next(waiting, bar)
            while waiting:
                yield self._next(waiting, bar)
        finally:
            bar.close()
            for future in waiting:
                future.cancel()
            pool.shutdown(cancel_futures=True)

    def lesson(self, question: Question) -> Lesson:
        """Asks until an answer is accepted or the attempts are used up. Raises EndpointError where
        the endpoint cannot be used."""
        reason, attempts, response, claims = "", 0, None, ()
        for attempt in range(self.attempts):
            try:
                reply = self.client.ask(self._ask(question.asked, attempt))
            except EndpointError as error:
                if error.final:
                    raise
                reason = "the endpoint gave no answer"
                self._count(refused=reason)
                continue
            attempts += 1
            judged = judge(question, reply, self.sandbox)
            response, reason, claims = judged.response, judged.reason, judged.claims
            self._count(answers=1, refused=reason)
            if response is not None:
                break
        confirmed = sum(claim.verdict == CONFIRMED for claim in claims)
        self._count(questions=1, kept=int(response is not None), confirmed=confirmed)
        return Lesson(question, response, reason, attempts, claims)

    def _ask(self, asked: Asked, attempt: int) -> Ask:
        prompt = messages(asked) if self.chat else text(asked, examples=self.examples)
        return Ask(
            prompt,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            stop=(STOP,),
            seed=attempt,
        )

    def _next(self, waiting: "deque[Future[Lesson]]", bar: tqdm) -> Lesson:
        lesson = waiting.popleft().result()
        bar.update()
        bar.set_postfix(
            kept=f"{100 * self.counts.kept / max(self.counts.questions, 1):.0f}%",
            cost=f"{self.counts.spending.cost:.2f}",
            refresh=False,
        )
        return lesson

    def _count(self, *, questions=0, kept=0, answers=0, refused="", confirmed=0) -> None:
        with self._lock:
            self.counts.questions += questions
            self.counts.kept += kept
            self.counts.answers += answers
            self.counts.confirmed_claims += confirmed
            if refused:
                self.counts.refused[refused] += 1


# ---- judging an answer ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """response: the answer in the release's form, None where it is refused, with the reason."""

    response: str | None
    reason: str = ""
    claims: tuple[Claim, ...] = ()


class _Refused(Exception):
    """The message is a short reason to count by."""


def judge(question: Question, reply: Reply, sandbox: Sandbox) -> Judgement:
    """Whether an answer is right, in its result and in each step that can be checked."""
    try:
        if reply.finish_reasons[0] == "length":
            raise _Refused("cut by the limit on tokens")
        monologue, assertion = _parts(question.kind, reply.texts[0])
        call_text, output = _assertion(assertion)
        call = _call(call_text)
        if question.kind == "fwd_mnl":
            _check_forward(question, call, output)
            trace = question.trace
        else:
            trace = _check_backward(question, call, call_text, output, sandbox)
        response = f"{monologue}\n[/MONOLOGUE]\n\n[ANSWER]\nassert {assertion}\n{STOP}"
        return Judgement(response, claims=_checked(question.kind, trace, response))
    except _Refused as refused:
        return Judgement(None, str(refused))


def _parts(kind: str, answer: str) -> tuple[str, str]:
    """(monologue, asserted comparison) of an answer in the form; raises _Refused."""
    answer = answer.strip().removeprefix("[MONOLOGUE]").lstrip()
    monologue, closed, rest = answer.partition("[/MONOLOGUE]")
    block = re.fullmatch(
        r"\s*\[ANSWER\]\s*(?:```(?:python)?\s*)?assert\s+([^\n]*?)\s*(?:```\s*)?(?:\[/ANSWER\].*)?",
        rest,
        re.DOTALL,
    )
    if not closed or block is None:
        raise _Refused("not in the form: answer")
    at = -1
    for heading in HEADINGS[kind]:
        found = re.search(rf"^{re.escape(heading)}[ \t]*$", monologue[at + 1 :], re.M)
        if found is None:
            raise _Refused(f"not in the form: {heading.removeprefix('### ')}")
        at += 1 + found.start()
    if not monologue.startswith(HEADINGS[kind][0]) or "[ANSWER]" in monologue:
        raise _Refused("not in the form: something before the monologue")
    try:
        answer.encode()
    except UnicodeEncodeError:
        raise _Refused("not in the form: broken characters") from None
    return monologue.rstrip(), block[1].strip()


def _assertion(assertion: str) -> tuple[str, str]:
    """(text of the call, text of the literal) of "call == literal"; raises _Refused."""
    if len(assertion) > MAX_ASSERTION:
        raise _Refused("the answer is no call == literal")
    try:
        tree = ast.parse(assertion, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _Refused("the answer is no call == literal") from None
    match tree:
        case ast.Compare(left=ast.Call() as left, ops=[ast.Eq()], comparators=[right]):
            texts = [ast.get_source_segment(assertion, node) for node in (left, right)]
            if None not in texts:
                return str(texts[0]), str(texts[1])
    raise _Refused("the answer is no call == literal")


def _call(text: str) -> Call:
    try:
        return parse_call(text)
    except CallError:
        raise _Refused("the answer is no call == literal") from None


def _literal(text: str):
    try:
        return parse_literal(text)
    except LiteralError:
        raise _Refused("the answer is no call == literal") from None


def _check_forward(question: Question, call: Call, output: str) -> None:
    asked = parse_call(question.call)
    same = call.path == asked.path and same_value(
        [list(call.args), dict(call.kwargs)], [list(asked.args), dict(asked.kwargs)]
    )
    if not same:
        raise _Refused("another call was asserted")
    if not same_value(_literal(output), parse_literal(question.output)):
        raise _Refused("wrong output")


def _check_backward(
    question: Question, call: Call, call_text: str, output: str, sandbox: Sandbox
) -> Trace:
    """Runs the input that the answer names; the trace of that run. Raises _Refused."""
    wanted = parse_literal(question.output)
    if not same_value(_literal(output), wanted):
        raise _Refused("another output was asserted")
    if call.path != (question.function,):
        raise _Refused("another call was asserted")
    result = sandbox.run(call_job(question.program, call_text, trace=_TRACE))
    if not isinstance(result.outcome, Value) or not result.outcome.exact:
        raise _Refused("wrong input")
    if not same_value(result.outcome.python(), wanted):
        raise _Refused("wrong input")
    if result.trace is None or result.trace.truncated:
        raise _Refused("its run cannot be told in full")
    return result.trace


def _checked(kind: str, trace: Trace, response: str) -> tuple[Claim, ...]:
    """The claims of an answer; raises _Refused where one is wrong, or where no step of an
    execution can be checked at all."""
    claims = tuple(verify_trace(trace, response))
    wrong = next((claim for claim in claims if claim.verdict == CONTRADICTED), None)
    if wrong is not None:
        raise _Refused(f"contradicted by the run: {wrong.kind}")
    steps = [c for c in claims if c.verdict == CONFIRMED and c.kind not in ("answer", "return")]
    if kind == "fwd_mnl" and not steps:
        raise _Refused("no step that can be checked")
    return claims

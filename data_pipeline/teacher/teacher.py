"""Asks any OpenAI-compatible model for monologues and rejects those that are wrong.

    with Client(Endpoint(url, model)) as client, Sandbox() as sandbox:
        teacher = Teacher(CachedClient(client, ReplyCache("replies.jsonl")), sandbox)
        for lesson in teacher.teach([question_forward(case), ...]):
            if lesson.response is not None: ...
        print(teacher.counts.summary())

The prompt never contains the solution. An answer is untrusted data: `judge` compares the asserted
literal with the executed value (forward) or runs the proposed input (backward), and checks every
checkable step of the monologue against the trace. One contradicted step rejects the answer.
"""

import ast
import re
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from tqdm import tqdm

from data_pipeline.endpoint.client import CompletionRequest, EndpointError, Reply
from data_pipeline.endpoint.reply_cache import CachedClient, Spending
from data_pipeline.execution.outcomes import Value
from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.pyx.prompts import backward_field, forward_field
from data_pipeline.source.calls import Call, CallError, parse_call, parse_value
from data_pipeline.source.literals import LiteralError, same_value
from data_pipeline.teacher.prompts import HEADINGS, TeacherPrompt, messages, text
from data_pipeline.terminal.tables import rank_counts
from data_pipeline.tracing import Trace
from data_pipeline.verify import CONFIRMED, CONTRADICTED, Claim, example_outcomes, verify_trace

STOP = "[/ANSWER]"
MAX_ASSERTION = 20_000  # characters
_TRACE = TraceLimits(ends_run=True)
_AHEAD = 4  # questions submitted per concurrent request, so that keeping the order costs no time


@dataclass(frozen=True)
class TeacherQuestion:
    """Holds a question and the run that decides whether an answer is right.

    Args:
      kind: "fwd_mnl" or "bwd_mnl".
      program: source text.
      function: name of the entry function.
      call: the executed call; the teacher does not see it in a backward question.
      output: source text of the returned value.
      trace: trace of the call; answers to forward questions are checked against it.
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
    def prompt(self) -> TeacherPrompt:
        """Returns the part of the question that the teacher sees."""
        shown = self.call if self.kind == "fwd_mnl" else self.output
        return TeacherPrompt(self.kind, self.program, shown, self.function)

    @property
    def prompt_field(self) -> str:
        """Returns the instruction field of the record made from an accepted answer."""
        if self.kind == "fwd_mnl":
            return forward_field(self.program, self.call)
        return backward_field(self.program, self.output, function=self.function)


@dataclass(frozen=True)
class Lesson:
    """Holds the result of one question.

    Args:
      response: the accepted answer in the release's form, or None if every answer was rejected.
      reason: why the last answer was rejected; "" if it was accepted.
      attempts: number of answers judged.
      claims: the verifier's verdicts on the steps of the accepted answer.
    """

    question: TeacherQuestion
    response: str | None
    reason: str
    attempts: int
    claims: tuple[Claim, ...] = ()


@dataclass
class Counts:
    """Counts a teacher's questions and answers. `refused` counts rejected answers by reason."""

    spending: Spending
    questions: int = 0
    kept: int = 0
    answers: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    confirmed_claims: int = 0

    def summary(self) -> str:
        """Returns a table for the terminal."""
        spent = self.spending
        usage = spent.usage + spent.cached_usage
        share = f"{100 * self.kept / self.questions:.1f} %" if self.questions else "–"
        rows = [
            ("questions", f"{self.questions:,}"),
            ("monologues kept", f"{self.kept:,} ({share})"),
            ("answers looked at", f"{self.answers:,}"),
            *((f"  refused: {why}", f"{count:,}") for why, count in rank_counts(self.refused)),
            ("steps confirmed", f"{self.confirmed_claims:,}"),
            ("requests", f"{spent.asked:,} made, {spent.cached:,} from the cache"),
            ("tokens", f"{usage.prompt_tokens:,} in, {usage.completion_tokens:,} out"),
            ("cost", f"{spent.cost:,.4f} in this run, {spent.total_cost:,.4f} in all"),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


class Teacher:
    """Asks one endpoint for monologues.

    Args:
      attempts: most answers requested per question; stops at the first accepted one.
      temperature: sampling temperature; each attempt uses its own seed.
      max_new_tokens: longest answer; one cut at this length is rejected.
      chat: True sends rules and an example to /chat/completions, or to /completions if the server
        has no chat; False uses /completions.
      examples: with /completions, whether rules and an example precede the question (a model
        trained on the format needs none).
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

    def teach(
        self, questions: Iterable[TeacherQuestion], *, progress: bool = False
    ) -> Iterator[Lesson]:
        """Yields a lesson per question, in order; reads `questions` only as requests finish.

        A question that the endpoint did not answer gives a lesson without response. Raises
        EndpointError if the endpoint cannot be used at all (wrong key, address or model).
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

    def lesson(self, question: TeacherQuestion) -> Lesson:
        """Asks until an answer is accepted or the attempts are used up.

        Raises EndpointError if the endpoint cannot be used.
        """
        reason, attempts, response, claims = "", 0, None, ()
        for attempt in range(self.attempts):
            try:
                reply = self.client.ask(self._request(question.prompt, attempt))
            except EndpointError as error:
                if error.final:
                    raise
                reason = "the endpoint gave no answer"
                self._count(refused=reason)
                continue
            attempts += 1
            judgement = judge(question, reply, self.sandbox)
            response, reason, claims = judgement.response, judgement.reason, judgement.claims
            self._count(answers=1, refused=reason)
            if response is not None:
                break
        confirmed = sum(claim.verdict == CONFIRMED for claim in claims)
        self._count(questions=1, kept=int(response is not None), confirmed=confirmed)
        return Lesson(question, response, reason, attempts, claims)

    def _request(self, shown: TeacherPrompt, attempt: int) -> CompletionRequest:
        request = CompletionRequest(
            text(shown, examples=self.examples),
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            stop=(STOP,),
            seed=attempt,
        )
        return replace(request, prompt=messages(shown), fallback=request) if self.chat else request

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
    """Holds the accepted answer in the release's form, or None and the reason for rejecting it."""

    response: str | None
    reason: str = ""
    claims: tuple[Claim, ...] = ()


class _Refusal(Exception):
    """Rejects an answer; the message is a short reason under which rejections are counted."""


def judge(question: TeacherQuestion, reply: Reply, sandbox: Sandbox) -> Judgement:
    """Checks the result of an answer and each of its checkable steps."""
    try:
        if reply.finish_reasons[0] == "length":
            raise _Refusal("cut by the limit on tokens")
        monologue, assertion = _parts(question.kind, reply.texts[0])
        call_text, output = _assertion(assertion)
        call = _call(call_text)
        if question.kind == "fwd_mnl":
            _check_forward(question, call, output)
            trace = question.trace
        else:
            trace = _check_backward(question, call, call_text, output, sandbox)
        response = f"{monologue}\n[/MONOLOGUE]\n\n[ANSWER]\nassert {assertion}\n{STOP}"
        return Judgement(response, claims=_check_claims(question.kind, trace, response, sandbox))
    except _Refusal as refused:
        return Judgement(None, str(refused))


def _parts(kind: str, answer: str) -> tuple[str, str]:
    """Returns (monologue, asserted comparison); raises _Refusal if the answer has another form."""
    answer = answer.strip().removeprefix("[MONOLOGUE]").lstrip()
    monologue, closed, rest = answer.partition("[/MONOLOGUE]")
    block = re.fullmatch(
        r"\s*\[ANSWER\]\s*(?:```(?:python)?\s*)?assert\s+([^\n]*?)\s*(?:```\s*)?(?:\[/ANSWER\].*)?",
        rest,
        re.DOTALL,
    )
    if not closed or block is None:
        raise _Refusal("not in the form: answer")
    at = -1
    for heading in HEADINGS[kind]:
        found = re.search(rf"^{re.escape(heading)}[ \t]*$", monologue[at + 1 :], re.M)
        if found is None:
            raise _Refusal(f"not in the form: {heading.removeprefix('### ')}")
        at += 1 + found.start()
    if not monologue.startswith(HEADINGS[kind][0]) or "[ANSWER]" in monologue:
        raise _Refusal("not in the form: something before the monologue")
    try:
        answer.encode()
    except UnicodeEncodeError:
        raise _Refusal("not in the form: broken characters") from None
    return monologue.rstrip(), block[1].strip()


def _assertion(assertion: str) -> tuple[str, str]:
    """Splits "call == literal" into the texts of its two sides; raises _Refusal."""
    if len(assertion) > MAX_ASSERTION:
        raise _Refusal("the answer is no call == literal")
    try:
        tree = ast.parse(assertion, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _Refusal("the answer is no call == literal") from None
    match tree:
        case ast.Compare(left=ast.Call() as left, ops=[ast.Eq()], comparators=[right]):
            texts = [ast.get_source_segment(assertion, node) for node in (left, right)]
            if None not in texts:
                return str(texts[0]), str(texts[1])
    raise _Refusal("the answer is no call == literal")


def _call(text: str) -> Call:
    try:
        return parse_call(text)
    except CallError:
        raise _Refusal("the answer is no call == literal") from None


def _literal(text: str):
    try:
        return parse_value(text)
    except LiteralError:
        raise _Refusal("the answer is no call == literal") from None


def _check_forward(question: TeacherQuestion, call: Call, output: str) -> None:
    asked = parse_call(question.call)
    same = call.path == asked.path and same_value(
        [list(call.args), dict(call.kwargs)], [list(asked.args), dict(asked.kwargs)]
    )
    if not same:
        raise _Refusal("another call was asserted")
    if not same_value(_literal(output), parse_value(question.output)):
        raise _Refusal("wrong output")


def _check_backward(
    question: TeacherQuestion, call: Call, call_text: str, output: str, sandbox: Sandbox
) -> Trace:
    """Runs the proposed input and returns its trace; raises _Refusal if it is wrong."""
    wanted = parse_value(question.output)
    if not same_value(_literal(output), wanted):
        raise _Refusal("another output was asserted")
    if call.path != (question.function,):
        raise _Refusal("another call was asserted")
    result = sandbox.run(call_job(question.program, call_text, trace=_TRACE))
    if not isinstance(result.outcome, Value) or not result.outcome.exact:
        raise _Refusal("wrong input")
    if not same_value(result.outcome.python(), wanted):
        raise _Refusal("wrong input")
    if result.trace is None or result.trace.truncated:
        raise _Refusal("its run cannot be told in full")
    return result.trace


def _check_claims(kind: str, trace: Trace, response: str, sandbox: Sandbox) -> tuple[Claim, ...]:
    """Returns the verified claims of an answer.

    Raises _Refusal if a claim is contradicted, or if no step of a forward answer can be checked.
    """
    outcomes = example_outcomes(trace, response, sandbox.traces)
    claims = tuple(verify_trace(trace, response, outcomes))
    wrong = next((claim for claim in claims if claim.verdict == CONTRADICTED), None)
    if wrong is not None:
        raise _Refusal(f"contradicted by the run: {wrong.kind}")
    steps = [c for c in claims if c.verdict == CONFIRMED and c.kind not in ("answer", "return")]
    if kind == "fwd_mnl" and not steps:
        raise _Refusal("no step that can be checked")
    return claims

"""Makes judged answers and runs with a value in every field."""

from data_pipeline.verify import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim
from semcoder_jax.evaluation.results import Answer, EvaluationRun, Reference, scores


def make_answer(task="t0", sample=0, outcome="right", claims=None, **changes) -> Answer:
    fields = dict(
        task=task, sample=sample, benchmark="CRUXEval-O", variant="monologue", mode="fixed",
        outcome=outcome, answer="1", question="def f(): …", expected="1", detail="", text="…",
        finish_reason="stop", claims=claims,
    )  # fmt: skip
    return Answer(**{**fields, **changes})


def make_claim(kind: str, verdict: str) -> Claim:
    return Claim(1, kind, "x=1", verdict, "x=2")


GOOD = (make_claim("flow", CONFIRMED), make_claim("value", CONFIRMED))

BAD = (
    make_claim("flow", CONFIRMED),
    make_claim("value", CONTRADICTED),
    make_claim("flow", CONTRADICTED),
)

MUTE = (make_claim("value", NOT_CHECKABLE), make_claim("answer", CONFIRMED))


def make_run(**changes) -> EvaluationRun:
    rows = (
        make_answer("t0", claims=BAD),
        make_answer("t1", outcome="wrong", text="half a pair \ud83d <&"),
    )
    fields = dict(
        name="cruxeval_output", model="m", identity={"data": "abc"}, answers=rows,
        scores=scores(rows), notes=("1 id names no task",), tokens_per_second=12.5,
        references={"CRUXEval-O": (Reference("SemCoder-S", 0.639, "the paper"),)},
    )  # fmt: skip
    return EvaluationRun(**{**fields, **changes})

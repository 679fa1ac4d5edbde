"""Tests that a model's texts come as its engine generates them, and which model is taken."""

import asyncio

import pytest

from data_pipeline.pyx.prompts import forward_prompt
from semcoder_jax.demo import run
from semcoder_jax.demo.authors import MAX_NEW_TOKENS
from semcoder_jax.demo.requests import DemoError
from semcoder_jax.demo.runs import trace_call
from semcoder_jax.inference.engine import Request
from semcoder_jax.inference.params import SamplingParams
from tests.support.tiny_checkpoint import write_checkpoint

PROGRAM = "def f(a):\n    b = a + 1\n    return b"


async def portions_of(author, traces):
    """Texts of the monologues of runs, or the error that one ends in."""
    texts = []
    author.thread.start()
    for trace in traces:
        try:
            portions = [p.text async for p in author.monologue(trace, "forward")]
            texts.append(portions)
        except DemoError as error:
            texts.append(error)
    await asyncio.to_thread(author.thread.stop)
    return texts


@pytest.mark.slow
def test_the_quickstarts_model_writes_where_its_workdir_is(tmp_path, monkeypatch, sandbox, caplog):
    monkeypatch.chdir(tmp_path)
    assert run._find_model(None, None, False) is None
    workdir = tmp_path / "runs" / "quickstart"
    workdir.mkdir(parents=True)
    assert run._find_model(None, None, False) is None  # nothing can be loaded from it yet
    assert "the narrator writes instead" in caplog.text

    write_checkpoint(workdir / "export")
    author = run._find_model(None, None, False)
    assert "quickstart" in author.name and "expect nonsense" in author.note
    traces = [
        trace_call(sandbox, program, "f(a=3)").trace
        for program in (PROGRAM, PROGRAM + "\n    #" * 400)
    ]
    whole, too_long = asyncio.run(portions_of(author, traces))
    params = SamplingParams(max_new_tokens=MAX_NEW_TOKENS, stop=("[/ANSWER]",))
    request = Request(forward_prompt(PROGRAM, "f(a=3)"), params)
    [[expected]] = author.thread.engine.generate([request])  # whole, and not streamed
    assert "".join(whole) == expected.text and len(whole) > 3
    assert "the model: prompt has" in str(too_long) and "\n" not in str(too_long)

"""Fixtures of a server over a small real model."""

import json

import pytest

from semcoder_jax.inference.engine import Engine
from semcoder_jax.loading import load_model
from tests.support.tiny_checkpoint import write_checkpoint
from tests.support.tiny_server import CONTEXT, KEY, SLOTS, serve_engine


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("serve") / "tiny", max_positions=CONTEXT)


@pytest.fixture(scope="session")
def model(checkpoint):
    return load_model(checkpoint)


@pytest.fixture(scope="session")
def engine(model):
    return Engine(model, num_slots=SLOTS, speculation="off")


@pytest.fixture(scope="session")
def served(engine):
    """(base address, the engine's thread) of a server that lives as long as the session."""
    pytest.importorskip("uvicorn", reason="needs the serve extra")
    with serve_engine(engine) as address_and_thread:
        yield address_and_thread


@pytest.fixture(scope="session")
def client(served):
    openai = pytest.importorskip("openai", reason="needs the dev extra")
    with openai.OpenAI(base_url=served[0] + "/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def post(served):
    httpx = pytest.importorskip("httpx2", reason="comes with openai 3")
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    with httpx.Client(base_url=served[0], headers=headers) as http:

        def post(path="/v1/completions", content=None, **body):
            return http.post(path, content=content or json.dumps(body), timeout=60)

        yield post

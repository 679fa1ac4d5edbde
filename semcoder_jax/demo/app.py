"""The web application: the page, and streams of events about what it asks.

An answer is a stream of JSON objects, one a line; a mistake of the user is the last of them,
{"event": "error", "message": one line}. A client that disconnects ends the work. Requests must have
the JSON content type, which a page of another origin cannot send without permission, and the Host
that the server is bound to.
"""

import asyncio
import contextlib
import dataclasses
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from data_pipeline.execution.service import Sandbox
from data_pipeline.pages.rendering import render_page
from semcoder_jax.demo.authors import Author
from semcoder_jax.demo.examples import BUGGY, BUGGY_TESTS, EXAMPLES, TASK, TESTS
from semcoder_jax.demo.repairing import repair, run_tests, write_code
from semcoder_jax.demo.requests import (
    CodeRequest,
    RepairRequest,
    TellRequest,
    TestRequest,
    read_request,
)
from semcoder_jax.demo.telling import tell
from semcoder_jax.errors import UserError
from semcoder_jax.server.hosts import HostRule, RequestGuard

logger = logging.getLogger("semcoder_jax.demo")
KINDS = ("tell", "code", "repair", "test")
LARGEST_BODY = 1 << 20
AT_ONCE = 4  # answers under way; others wait
HEADERS = {"Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}
_TEMPLATE = Path(__file__).with_name("page.html.j2")

Events = AsyncIterator[dict[str, Any]]
Lifespan = Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]


class Demo:
    """Answers the page's questions with one author and one sandbox."""

    def __init__(self, author: Author, sandbox: Sandbox):
        self.author = author
        self.sandbox = sandbox
        self._free = asyncio.Semaphore(AT_ONCE)

    def page(self, _: Request) -> Response:
        """Returns the page."""
        text = render_page(
            _TEMPLATE,
            title="semcoder demo",
            author=self.author,
            examples=EXAMPLES,
            example_rows=[dataclasses.asdict(example) for example in EXAMPLES],
            task=TASK,
            tests=TESTS,
            buggy=BUGGY,
            buggy_tests=BUGGY_TESTS,
        )
        return HTMLResponse(text, headers=HEADERS)

    def events(self, kind: str, content: bytes) -> Events:
        """Returns the events of an answer. Raises DemoError for a malformed request."""
        author, sandbox = self.author, self.sandbox
        if kind == "tell":
            return tell(read_request(TellRequest, content), author, sandbox)
        if kind == "code":
            return write_code(read_request(CodeRequest, content), author, sandbox)
        if kind == "repair":
            return repair(read_request(RepairRequest, content), author, sandbox)
        return run_tests(read_request(TestRequest, content), sandbox)

    async def answer(self, request: Request) -> Response:
        """Streams an answer."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return JSONResponse({"error": "expected application/json"}, 415)
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > LARGEST_BODY:
                return JSONResponse({"error": f"more than {LARGEST_BODY} bytes"}, 413)
        lines = self._lines(request.url.path.rpartition("/")[2], bytes(content))
        return _ClosingResponse(lines, media_type="application/x-ndjson", headers=HEADERS)

    async def _lines(self, kind: str, content: bytes) -> AsyncIterator[str]:
        try:
            async with self._free, contextlib.aclosing(self.events(kind, content)) as events:
                async for event in events:
                    yield json.dumps(event) + "\n"
        except UserError as error:
            yield _error(str(error))
        except Exception:
            logger.exception("an answer failed")
            yield _error("an error of the demo: its log says more")


class _ClosingResponse(StreamingResponse):
    """Closes its iterator also when a client leaves, which starlette leaves to the collector."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self.body_iterator):  # type: ignore[type-var]
            await super().__call__(scope, receive, send)


def _error(message: str) -> str:
    return json.dumps({"event": "error", "message": " ".join(message.split())[:500]}) + "\n"


def make_app(demo: Demo, hosts: HostRule, lifespan: Lifespan | None = None) -> Starlette:
    """Builds the application."""
    return Starlette(
        routes=[
            Route("/", demo.page),
            *(Route(f"/api/{kind}", demo.answer, methods=["POST"]) for kind in KINDS),
        ],
        middleware=[Middleware(RequestGuard, rule=hosts)],
        lifespan=lifespan,
    )

"""The web application: routes, API key, limits, streams.

A client that disconnects cancels its requests. Bodies must have the JSON content type, which a
browser page cannot send to another origin without permission.
"""

import asyncio
import contextlib
import dataclasses
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from semcoder_jax.inference.params import SamplingError
from semcoder_jax.server.body import Refusal, parse_json, read_body
from semcoder_jax.server.engine_thread import EngineStoppedError, EngineThread, QueueFullError
from semcoder_jax.server.error_body import error_body
from semcoder_jax.server.hosts import HostRule, RequestGuard
from semcoder_jax.server.prometheus import ServerMetrics
from semcoder_jax.server.protocol import (
    CompletionRequest,
    RequestLimits,
    UnknownModelError,
    most_prompt_bytes,
    parse_request,
)
from semcoder_jax.server.responses import ResponseBuilder
from semcoder_jax.server.sampling_fields import BadRequestError

logger = logging.getLogger("semcoder_jax.server")
PATHS = {"/v1/completions": "completions", "/v1/chat/completions": "chat"}
CLIENT_GONE = 499  # nginx's number; nobody receives it
UNKNOWN_MODEL = "model_not_found"  # OpenAI's code


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Settings of the server.

    Attributes:
      model_name: name of the model for clients.
      limits: limits of a request.
      hosts: accepted Host headers.
      api_key: key that /v1 and /metrics require (otherwise 401); None for no key.
      body_seconds: time in which the body of a request must arrive (otherwise 408).
    """

    model_name: str
    limits: RequestLimits
    hosts: HostRule
    api_key: str | None = None
    body_seconds: float = 30.0


def make_app(thread: EngineThread, options: ServerOptions) -> Starlette:
    """Builds the application, which starts and stops the engine's thread."""
    server = _Server(thread, options)

    @contextlib.asynccontextmanager
    async def lifespan(_):
        thread.start()
        yield
        await asyncio.to_thread(thread.stop)

    return Starlette(
        routes=[
            Route("/health", server.health),
            Route("/metrics", server.metrics_text),
            Route("/v1/models", server.models),
            Route("/v1/models/{name:path}", server.model),
            *(Route(path, server.complete, methods=["POST"]) for path in PATHS),
        ],
        middleware=[Middleware(RequestGuard, rule=options.hosts)],
        exception_handlers={404: _plain_error, 405: _plain_error, Exception: _failure},
        lifespan=lifespan,
    )


class _Server:
    def __init__(self, thread: EngineThread, options: ServerOptions):
        self._thread = thread
        self._options = options
        self._tokenizer = thread.engine.model.tokenizer
        self._adapters = thread.engine.adapters
        tokens = options.limits.prompt_tokens
        self._limits = dataclasses.replace(
            options.limits, prompt_bytes=most_prompt_bytes(self._tokenizer, tokens)
        )
        self._metrics = ServerMetrics(thread)
        self._started = int(time.time())

    # ---- small routes

    async def health(self, _) -> Response:
        if self._thread.alive:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "the engine has stopped"}, 503)

    async def metrics_text(self, request: Request) -> Response:
        try:
            self._check_key(request)
        except Refusal as refusal:
            return refusal.response
        body, content_type = self._metrics.exposition(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def models(self, request: Request) -> Response:
        try:
            self._check_key(request)
        except Refusal as refusal:
            return refusal.response
        names = (self._options.model_name, *self._adapters)
        return JSONResponse({"object": "list", "data": [self._model(name) for name in names]})

    async def model(self, request: Request) -> Response:
        try:
            self._check_key(request)
        except Refusal as refusal:
            return refusal.response
        name = request.path_params["name"]
        if name not in (self._options.model_name, *self._adapters):
            body = error_body(f"no model {name!r}", "invalid_request_error", code=UNKNOWN_MODEL)
            return JSONResponse(body, 404)
        return JSONResponse(self._model(name))

    def _model(self, name: str) -> dict:
        base = self._options.model_name
        return {
            "id": name,
            "object": "model",
            "created": self._started,
            "owned_by": "semcoder-jax",
            "max_model_len": self._options.limits.context,
            "root": base,
            "parent": None if name == base else base,
        }

    # ---- completions and chat

    async def complete(self, request: Request) -> Response:
        path, started = request.url.path, time.monotonic()
        try:
            self._check_key(request)
            content = await read_body(request, self._options.body_seconds)
            # In a thread: parsing and tokenizing megabytes would stop every stream meanwhile.
            asked = await asyncio.to_thread(self._understand, PATHS[path], content)
            answer = ResponseBuilder(asked, self._tokenizer)
            updates = self._thread.updates(asked.requests)
            # Wait for the first update before sending the status: a full queue must answer 429.
            first = await _cancel_on_disconnect(request, anext(updates))
            if asked.stream:
                lines = self._lines(asked, answer, first, updates, started)
                return StreamingResponse(lines, media_type="text/event-stream")
            body = await _cancel_on_disconnect(request, self._whole(asked, answer, first, updates))
            self._count(path, 200, asked, answer, started)
            return JSONResponse(body)
        except Refusal as refusal:
            response = refusal.response
        except SamplingError as error:
            response = _bad_request(str(error), None)
        except QueueFullError as error:
            body = error_body(str(error), "rate_limit_error")
            response = JSONResponse(body, 429, {"Retry-After": str(error.retry_after)})
        except EngineStoppedError as error:
            response = JSONResponse(error_body(str(error), "server_error"), 503)
        except ClientDisconnect:
            response = Response(status_code=CLIENT_GONE)
        self._metrics.requests.labels(path, response.status_code).inc()
        return response

    def _check_key(self, request: Request) -> None:
        key = self._options.api_key
        if key is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), key.encode())
        if scheme.lower() != "bearer" or not right:
            body = error_body("a wrong API key, or none", "invalid_request_error")
            raise Refusal(401, body, {"WWW-Authenticate": "Bearer"})

    def _understand(self, kind: str, content: bytes) -> CompletionRequest:
        body = parse_json(content)
        try:
            return parse_request(
                kind,
                body,
                model_name=self._options.model_name,
                tokenizer=self._tokenizer,
                limits=self._limits,
                adapters=self._adapters,
            )
        except UnknownModelError as error:
            answer = error_body(
                str(error), "invalid_request_error", error.param, code=UNKNOWN_MODEL
            )
            raise Refusal(404, answer) from None
        except BadRequestError as error:
            raise Refusal(
                400, error_body(str(error), "invalid_request_error", error.param)
            ) from None

    async def _whole(
        self, asked: CompletionRequest, answer: ResponseBuilder, first, updates
    ) -> dict:
        generations = {}
        async with contextlib.aclosing(_and_then(first, updates)) as news:
            async for index, update in news:
                if update.generation is not None:
                    generations[index * asked.n + update.sample] = update.generation
        return answer.whole(generations)

    async def _lines(self, asked, answer, first, updates, started) -> AsyncIterator[str]:
        """Yields server-sent events; closing the iterator cancels the request."""
        status, seen_text = CLIENT_GONE, False
        unechoed = set(range(len(asked.requests) * asked.n)) if asked.echo else set()
        try:
            async with contextlib.aclosing(_and_then(first, updates)) as news:
                for chunk in answer.opening():
                    yield _event(chunk)
                async for index, update in news:
                    choice = index * asked.n + update.sample
                    if choice in unechoed:
                        unechoed.remove(choice)
                        yield _event(answer.echo_chunk(choice, update))
                    if (update.text or update.tokens) and not asked.prompt_only:
                        if not seen_text:
                            seen_text = True
                            self._metrics.first_text_seconds.observe(time.monotonic() - started)
                        portion = answer.portion(
                            choice, update.text, update.tokens, update.logprobs
                        )
                        if update.text or update.logprobs:
                            yield _event(portion)
                    if update.generation is not None:
                        yield _event(answer.ending(choice, update.generation))
            if (closing := answer.closing()) is not None:
                yield _event(closing)
            yield "data: [DONE]\n\n"
            status = 200
        except EngineStoppedError as error:
            status = 503
            yield _event(error_body(str(error), "server_error"))
        finally:
            path = next(path for path, kind in PATHS.items() if kind == asked.kind)
            self._count(path, status, asked, answer, started)

    def _count(
        self,
        path: str,
        status: int,
        asked: CompletionRequest,
        answer: ResponseBuilder,
        started: float,
    ) -> None:
        self._metrics.requests.labels(path, status).inc()
        self._metrics.prompt_tokens.inc(asked.prompt_tokens)
        self._metrics.completion_tokens.inc(answer.completion_tokens)
        self._metrics.request_seconds.observe(time.monotonic() - started)


async def _cancel_on_disconnect(request: Request, work):
    """Awaits `work`, and cancels it if the client disconnects (ClientDisconnect)."""
    work = asyncio.ensure_future(work)
    gone = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect
    finally:
        for task in (work, gone):
            if not task.done():
                task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _and_then(first, rest):
    async with contextlib.aclosing(rest):
        yield first
        async for item in rest:
            yield item


def _event(body: dict) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _bad_request(message: str, param: str | None) -> Response:
    return JSONResponse(error_body(message, "invalid_request_error", param), 400)


async def _plain_error(request: Request, error) -> Response:
    message = f"{request.method} {request.url.path}: {error.detail}"
    return JSONResponse(
        error_body(message, "invalid_request_error"), error.status_code, error.headers
    )


async def _failure(request: Request, error: Exception) -> Response:
    return JSONResponse(error_body("an error of the server, see its log", "server_error"), 500)

"""Serves a model over HTTP until SIGINT or SIGTERM.

Imports JAX and the model only after binding the port, so that wrong arguments fail at once.
"""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import as_path
from data_pipeline.terminal.installation import install_command
from data_pipeline.terminal.notices import StderrHandler
from semcoder_jax.errors import UserError

LAST_SECONDS = 1  # for the ends of answers that a stop cuts short


class ServeError(UserError):
    """Raised if an address cannot be bound, or devices or a package are missing."""


def serve(
    checkpoint: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key: str | None = None,
    model_name: str | None = None,
    dtype: str | None = None,
    quantize: bool = False,
    cache_dtype: str | None = None,
    tensor_parallel: int = 1,
    num_slots: int | None = None,
    cache_tokens: int | None = None,
    speculation: str = "auto",
    max_waiting: int = 256,
    max_samples: int = 256,
    max_prompt_tokens: int | None = None,
    grace_seconds: int = 30,
    allowed_hosts: Sequence[str] = (),
    chat_template: str | Path | None = None,
    adapters: Mapping[str, str | Path] | None = None,
) -> bool:
    """Serves a model with OpenAI's API under http://HOST:PORT/v1; returns when the server ended.

    Args:
      checkpoint: HF directory or training workdir.
      host: address to listen at; the default is reachable from this machine only.
      port: 0 for any free one.
      api_key: what clients must send; None: nothing is asked.
      model_name: what clients call it; None: the directory's name.
      dtype: "float32" or "bfloat16"; None: float32 on CPU, else bfloat16.
      quantize: weights as int8.
      cache_dtype: "float32", "bfloat16" or "int8"; None: as `dtype`.
      tensor_parallel: devices that the model is split over.
      num_slots: samples decoded together; None: what suits the device.
      cache_tokens: positions that the KV cache holds in all; None: what memory allows.
      speculation: "auto", "always" or "off"; drafts from earlier text, same tokens.
      max_waiting: samples in line beyond the slots; more are answered with status 429.
      max_samples: most samples of one request.
      max_prompt_tokens: None: the model's context.
      grace_seconds: what answers under way may still take after SIGTERM; after SIGINT they end at
        once, with an error.
      allowed_hosts: names, beside `host` and this machine's own, by which clients may address the
        server (a reverse proxy's, for instance).
      chat_template: file with a Jinja template for /v1/chat/completions, or "semcoder" for the
        release's own prompt; None: the tokenizer's template.
      adapters: directories of adapters in peft's format, by the model name that clients give.

    Returns whether the engine was sound to the end. Raises ServeError, ChatTemplateError,
    CheckpointError, HFError, MeshError or SamplingError before the first request is taken.
    """
    try:
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        message = f"{error.name} is missing: {install_command('serve')}"
        raise ServeError(message) from None
    name = model_name or as_path(checkpoint).resolve().name
    if name in (adapters or {}):
        raise ServeError(f"--adapter={name}: the model itself has that name (--model_name)")
    template = None if chat_template is None else _read_chat_template(chat_template)
    # Bind before loading the model, so that a port in use fails at once.
    with bind_socket(host, port) as listener, server_logs():
        engine = _make_engine(
            checkpoint,
            dtype=dtype,
            quantize=quantize,
            tensor_parallel=tensor_parallel,
            num_slots=num_slots,
            cache_tokens=cache_tokens,
            cache_dtype=cache_dtype,
            speculation=speculation,
            adapters=adapters or {},
        )
        if template is not None:
            engine.model.tokenizer.chat_template = template
        return _run_server(
            engine,
            listener,
            name=name,
            api_key=api_key,
            max_waiting=max_waiting,
            max_samples=max_samples,
            max_prompt_tokens=max_prompt_tokens,
            grace_seconds=grace_seconds,
            hosts=(host, *allowed_hosts),
        )


def _read_chat_template(given: str | Path) -> str:
    from semcoder_jax.server.chat_template import read_chat_template

    return read_chat_template(given)


def _make_engine(
    checkpoint: str | Path,
    *,
    dtype: str | None,
    quantize: bool,
    tensor_parallel: int,
    adapters: Mapping[str, str | Path],
    **engine_options: Any,
) -> Any:
    """Loads the model and its adapters and creates the engine, without compiling."""
    import jax

    from semcoder_jax.inference.engine import Engine
    from semcoder_jax.loading import check_adapters, load_adapted, load_model
    from semcoder_jax.model import sharding

    check_adapters(adapters)  # before the model is loaded
    mesh = None
    if tensor_parallel > 1:
        mesh = sharding.make_mesh({"tensor": -1}, _devices(tensor_parallel))
    dtype = dtype or ("float32" if jax.default_backend() == "cpu" else "bfloat16")
    model = load_model(checkpoint, mesh=mesh, dtype=dtype, quantize=quantize)
    return Engine(model, adapters=load_adapted(model, adapters), **engine_options)


def _run_server(
    engine: Any,
    listener: socket.socket,
    *,
    name: str,
    api_key: str | None,
    max_waiting: int,
    max_samples: int,
    max_prompt_tokens: int | None,
    grace_seconds: int,
    hosts: Sequence[str],
) -> bool:
    """Compiles and serves until a signal; returns whether the engine did not fail."""
    import uvicorn

    from semcoder_jax.server.app import ServerOptions, make_app
    from semcoder_jax.server.connections import limit_headers
    from semcoder_jax.server.engine_thread import EngineThread
    from semcoder_jax.server.hosts import HostRule
    from semcoder_jax.server.protocol import RequestLimits

    log = logging.getLogger("semcoder_jax.server")
    host, port = listener.getsockname()[:2]
    if api_key is None and not is_loopback(host):
        log.warning("other machines can reach this server, and it asks for no API key")
    limits = RequestLimits(
        prompt_tokens=min(max_prompt_tokens or engine.context - 1, engine.context - 1),
        samples=max_samples,
        context=engine.context,
        cache_tokens=engine.cache_tokens,
    )
    log.info("compiling (%d slots, a cache of %d pages)", engine.num_slots, engine.pages.capacity)
    engine.warm_up()
    thread = EngineThread(engine, max_waiting=max_waiting)
    config = uvicorn.Config(
        make_app(thread, ServerOptions(name, limits, HostRule.of_binding(host, hosts), api_key)),
        http=limit_headers(),
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=grace_seconds,
    )
    listener.listen(2048)  # accept connections before the log line below
    log.info("serving %s at http://%s:%d/v1", name, f"[{host}]" if ":" in host else host, port)
    make_server(uvicorn, config, on_stop=thread.abort).run(sockets=[listener])
    thread.stop()  # a second SIGINT skips the application's own end
    return thread.failure is None


@contextlib.contextmanager
def server_logs() -> Iterator[None]:
    """Logs to stderr with times; restores the previous logging setup at the end."""
    handler = StderrHandler()
    handler.addFilter(_is_news)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    levels = {None: logging.INFO} | dict.fromkeys(("jax", "orbax", "absl"), logging.WARNING)
    loggers = {name: logging.getLogger(name) for name in levels}
    before = {name: logger.level for name, logger in loggers.items()}
    handlers, logging.root.handlers = logging.root.handlers, [handler]
    try:
        for name, level in levels.items():
            loggers[name].setLevel(level)
        yield
    finally:
        logging.root.handlers = handlers
        for name, level in before.items():
            loggers[name].setLevel(level)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record is no traceback of an answer that a stop of the server cancelled."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def make_server(uvicorn, config, *, on_stop: Callable[[], None] = lambda: None):
    """Returns a uvicorn server that ends cleanly after SIGINT or SIGTERM.

    `on_stop` is to end the answers under way. It is called in the event loop: at SIGINT, or
    `timeout_graceful_shutdown` seconds after SIGTERM if there are still answers then. What goes on
    for LAST_SECONDS longer is cancelled. A second SIGINT cancels it at once.
    """

    class Server(uvicorn.Server):
        """uvicorn's own raises the signal again after a clean end, which then reads as a death."""

        async def shutdown(self, sockets=None):
            grace = self.config.timeout_graceful_shutdown
            if signal.SIGINT in self._captured_signals:
                grace = 0
            if grace is None:
                await super().shutdown(sockets)
                return
            # Not in the handler of the signal, which may interrupt a thread that holds a lock.
            stop = asyncio.get_running_loop().call_later(grace, on_stop)
            self.config.timeout_graceful_shutdown = grace + LAST_SECONDS
            try:
                await super().shutdown(sockets)
            finally:
                stop.cancel()

        @contextlib.contextmanager
        def capture_signals(self):
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            numbers = (signal.SIGINT, signal.SIGTERM)
            before = {number: signal.signal(number, self.handle_exit) for number in numbers}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    return Server(config)


def bind_socket(host: str, port: int) -> socket.socket:
    """Binds a TCP address; port 0 takes any free one. Raises ServeError."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise ServeError(f"--host={host} --port={port}: {said}") from None
    return listener


def is_loopback(host: str) -> bool:
    """Returns whether an IP address is reached from this machine only."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def _devices(count: int) -> list:
    import jax

    devices = jax.devices()
    if count > len(devices):
        raise ServeError(f"--tensor_parallel={count}: found {len(devices)} devices")
    return devices[:count]

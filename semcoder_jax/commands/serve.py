"""Serve a model over HTTP, as OpenAI's API has it.

    python -m semcoder_jax.serve --checkpoint=DIR

DIR is an HF directory or a training workdir. Clients find it under http://127.0.0.1:8000/v1.
An API key is asked for where the variable SEMCODER_API_KEY or the file --api_key_file holds one.
SIGTERM ends the server: answers under way have --grace seconds, nothing new is taken.
"""

import argparse
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_pipeline.terminal.installation import install_command
from data_pipeline.terminal.notices import StderrHandler

API_KEY_VARIABLE = "SEMCODER_API_KEY"


class UsageError(ValueError):
    """A flag that is unknown, missing or malformed."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UsageError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 after a clean end, 2 the user's mistake in one line, 1 a failed engine."""
    try:
        flags = _flags(argv)
        api_key = _api_key(flags.api_key_file)
        try:
            import starlette  # noqa: F401
            import uvicorn  # noqa: F401
        except ImportError as error:
            message = f"{error.name} is missing: {install_command('serve')}"
            raise UsageError(message) from None
        # Bound before the model is read, so that a taken port is told at once.
        with _bound_socket(flags.host, flags.port) as listener, _server_logs():
            return _serve(flags, api_key, listener)
    except _user_errors() as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


@contextlib.contextmanager
def _server_logs() -> Iterator[None]:
    """Logs to stderr with times; what a library or a caller had set up comes back at the end."""
    handler = StderrHandler()
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


def _serve(flags, api_key: str | None, listener: socket.socket) -> int:
    import jax
    import uvicorn

    from semcoder_jax.inference.engine import Engine
    from semcoder_jax.loading import load_model
    from semcoder_jax.model import sharding
    from semcoder_jax.server.app import ServerOptions, make_app
    from semcoder_jax.server.engine_thread import EngineThread
    from semcoder_jax.server.protocol import Limits

    log = logging.getLogger("semcoder_jax.server")
    if api_key is None and not _is_loopback(listener.getsockname()[0]):
        log.warning("other machines can reach this server, and it asks for no API key")
    mesh = None
    if flags.tensor_parallel > 1:
        mesh = sharding.make_mesh({"tensor": -1}, _devices(flags.tensor_parallel))
    dtype = flags.dtype or ("float32" if jax.default_backend() == "cpu" else "bfloat16")
    model = load_model(flags.checkpoint, mesh=mesh, dtype=dtype, quantize=flags.weights == "int8")
    engine = Engine(
        model,
        num_slots=flags.num_slots,
        cache_tokens=flags.cache_tokens,
        cache_dtype=flags.cache_dtype,
        speculation=flags.speculation,
    )
    limits = Limits(
        prompt_tokens=min(flags.max_prompt_tokens or engine.context - 1, engine.context - 1),
        samples=flags.max_n,
        context=engine.context,
    )
    log.info("compiling (%d slots, a cache of %d pages)", engine.num_slots, engine.pages.capacity)
    engine.warm_up()
    name = flags.model_name or Path(flags.checkpoint).resolve().name
    thread = EngineThread(engine, max_waiting=flags.max_waiting)
    app = make_app(thread, ServerOptions(name, limits, api_key))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=flags.grace,
    )
    host, port = listener.getsockname()[:2]
    listener.listen(2048)  # so that who reads this may connect at once
    log.info("serving %s at http://%s:%d/v1", name, f"[{host}]" if ":" in host else host, port)
    _make_server(uvicorn, config).run(sockets=[listener])
    return 0 if thread.failure is None else 1


def _make_server(uvicorn, config):
    class Server(uvicorn.Server):
        """uvicorn's own raises the signal again after a clean end, which then reads as a death."""

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


def _flags(argv: Sequence[str] | None):
    parser = _Parser(
        prog="python -m semcoder_jax.serve",
        description=__doc__.split("\n")[0],
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help="HF directory or training workdir")
    add("--model_name", help="what clients call it (default: the directory's name)")
    add("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    add("--port", type=int, default=8000, help="0: any free one (default 8000)")
    add("--api_key_file", help=f"file with the API key (else the variable {API_KEY_VARIABLE})")
    add("--dtype", choices=["float32", "bfloat16"], help="default: float32 on CPU, else bfloat16")
    add("--weights", default="as_computed", choices=["as_computed", "int8"])
    add("--cache_dtype", choices=["float32", "bfloat16", "int8"], help="default: --dtype")
    add("--tensor_parallel", type=int, default=1, help="devices the model is split over")
    add("--num_slots", type=int, help="samples decoded together")
    add("--cache_tokens", type=int, help="positions that the cache holds in all")
    add("--speculation", default="auto", choices=["auto", "always", "off"])
    add("--max_waiting", type=int, default=256, help="samples in line beyond the slots, then 429")
    add("--max_n", type=int, default=256, help="most samples of one request")
    add("--max_prompt_tokens", type=int, help="default: the context")
    add("--grace", type=int, default=30, help="seconds for answers under way after SIGTERM")
    flags = parser.parse_args(argv)
    for name, least in (
        ("num_slots", 1),
        ("cache_tokens", 1),
        ("max_waiting", 0),
        ("max_n", 1),
        ("max_prompt_tokens", 1),
        ("tensor_parallel", 1),
        ("grace", 0),
        ("port", 0),
    ):
        value = getattr(flags, name)
        if value is not None and value < least:
            raise UsageError(f"--{name}={value}: expected at least {least}")
    if flags.port > 65_535:
        raise UsageError(f"--port={flags.port}: expected at most 65535")
    return flags


def _api_key(path: str | None) -> str | None:
    if path is None:
        return os.environ.get(API_KEY_VARIABLE, "").strip() or None
    try:
        key = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "not UTF-8"
        raise UsageError(f"--api_key_file={path}: {said}") from None
    if not key:
        raise UsageError(f"--api_key_file={path}: empty, expected a key")
    return key


def _bound_socket(host: str, port: int) -> socket.socket:
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
        raise UsageError(f"--host={host} --port={port}: {said}") from None
    return listener


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def _devices(count: int) -> list:
    import jax

    devices = jax.devices()
    if count > len(devices):
        raise UsageError(f"--tensor_parallel={count}: found {len(devices)} devices")
    return devices[:count]


def _user_errors() -> tuple[type[Exception], ...]:
    """The model's own errors, as far as their modules have been imported."""
    kinds: list[type[Exception]] = [UsageError]
    for module, name in (
        ("semcoder_jax.checkpoints", "CheckpointError"),
        ("semcoder_jax.hf", "HFError"),
        ("semcoder_jax.inference.params", "SamplingError"),
        ("semcoder_jax.model.sharding", "MeshError"),
    ):
        if module in sys.modules:
            kinds.append(getattr(sys.modules[module], name))
    return tuple(kinds)

"""Starts the demo: finds a model, binds the address, serves until SIGINT or SIGTERM."""

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.execution.service import Sandbox
from data_pipeline.files import as_path
from data_pipeline.terminal.missing_packages import requires_extra
from semcoder_jax.demo.app import Demo, Lifespan, make_app
from semcoder_jax.demo.authors import Author, ModelAuthor, Narrator
from semcoder_jax.demo.runs import LIMITS
from semcoder_jax.errors import UserError
from semcoder_jax.server.hosts import HostRule
from semcoder_jax.server.run import bind_socket, is_loopback, make_server, server_logs

logger = logging.getLogger("semcoder_jax.demo")
QUICKSTART = Path("runs/quickstart")
_QUICKSTART_NOTE = (
    "The quickstart's model has learned forward monologues of small functions of one kind: expect "
    "nonsense for other programs, backward, as code and as repairs."
)


def serve_demo(
    checkpoint: str | Path | None = None,
    *,
    no_model: bool = False,
    host: str = "127.0.0.1",
    port: int = 7860,
    allowed_hosts: Sequence[str] = (),
    dtype: str | None = None,
    quantize: bool = False,
) -> bool:
    """Serves the page at http://HOST:PORT; returns when the server ended, whether it was sound.

    Args:
      checkpoint: HF directory or training workdir; None: the quickstart's model where its workdir
        is here, else the narrator.
      no_model: take the narrator, whatever there is.
      host, port, allowed_hosts, dtype, quantize: as `server.run.serve` takes them.

    Raises ServeError, SandboxUnavailable, CheckpointError or HFError before the page is served.
    """
    with bind_socket(host, port) as listener, server_logs(), contextlib.ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(workers=2, limits=LIMITS))
        author: Author = Narrator(sandbox)
        if not no_model:
            author = _find_model(checkpoint, dtype, quantize) or author
        sandbox.warn_if_weaker()
        app = make_app(
            Demo(author, sandbox),
            HostRule.of_binding(listener.getsockname()[0], (host, *allowed_hosts)),
            _lifespan_of(author),
        )
        _serve(app, listener, author)
        return not (isinstance(author, ModelAuthor) and author.thread.failure)


def _find_model(checkpoint: str | Path | None, dtype: str | None, quantize: bool) -> Author | None:
    """Returns the model's author; None if none was named and the quickstart has left none."""
    if checkpoint is not None:
        name = as_path(checkpoint).resolve().name
        return _load(checkpoint, dtype, quantize, name, "")
    if not QUICKSTART.is_dir():
        return None
    export = QUICKSTART / "export"
    directory = export if export.is_dir() else QUICKSTART
    try:
        return _load(
            directory, dtype, quantize, f"the quickstart's model ({directory})", _QUICKSTART_NOTE
        )
    except UserError as error:
        logger.warning("%s: %s; the narrator writes instead", directory, str(error).splitlines()[0])
        return None


def _load(
    directory: str | Path, dtype: str | None, quantize: bool, name: str, note: str
) -> ModelAuthor:
    with requires_extra("serve"):
        import jax

        from semcoder_jax.inference.engine import Engine
        from semcoder_jax.loading import load_model
        from semcoder_jax.server.engine_thread import EngineThread

        dtype = dtype or ("float32" if jax.default_backend() == "cpu" else "bfloat16")
        engine = Engine(load_model(directory, dtype=dtype, quantize=quantize), num_slots=2)
        logger.info("compiling %s", directory)
        engine.warm_up()
        return ModelAuthor(EngineThread(engine, max_waiting=8), name, note)


def _lifespan_of(author: Author) -> Lifespan | None:
    """Returns what starts and stops the model's thread with the application."""
    if not isinstance(author, ModelAuthor):
        return None

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        import asyncio

        author.thread.start()
        yield
        await asyncio.to_thread(author.thread.stop)

    return lifespan


def _serve(app: Any, listener: Any, author: Author) -> None:
    import uvicorn

    from semcoder_jax.server.connections import limit_headers

    config = uvicorn.Config(
        app,
        http=limit_headers(),
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=2,
    )
    listener.listen(128)  # accept connections before the log line below
    host, port = listener.getsockname()[:2]
    place = f"[{host}]" if ":" in host else host
    if not is_loopback(host):
        logger.warning("other machines can reach this page and run programs in its sandbox")
    logger.info("%s writes; open http://%s:%d", author.name, place, port)
    abort = author.thread.abort if isinstance(author, ModelAuthor) else lambda: None
    make_server(uvicorn, config, on_stop=abort).run(sockets=[listener])

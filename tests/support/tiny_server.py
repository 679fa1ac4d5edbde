"""Serves an engine over real sockets in this process."""

import contextlib
import threading
import time
from collections.abc import Iterator

SLOTS, WAITING, CONTEXT = 2, 4, 256
KEY = "a-key"
HEADER_SECONDS = 1.0
PROXY = "proxy.example"  # another name of the server


@contextlib.contextmanager
def serve_engine(engine) -> Iterator[tuple]:
    """Yields the base address of a server and its engine's thread; stops it at the end."""
    import uvicorn

    from semcoder_jax.server.app import ServerOptions, make_app
    from semcoder_jax.server.connections import limit_headers
    from semcoder_jax.server.engine_thread import EngineThread
    from semcoder_jax.server.hosts import HostRule
    from semcoder_jax.server.protocol import RequestLimits
    from semcoder_jax.server.run import bind_socket, make_server

    thread = EngineThread(engine, max_waiting=WAITING)
    limits = RequestLimits(
        prompt_tokens=CONTEXT - 1, samples=5, context=CONTEXT, cache_tokens=engine.cache_tokens
    )
    hosts = HostRule.of_binding("127.0.0.1", [PROXY])
    options = ServerOptions("tiny", limits, hosts, KEY, body_seconds=1.5)
    http = limit_headers(HEADER_SECONDS)
    config = uvicorn.Config(make_app(thread, options), http=http, log_config=None, lifespan="on")
    server = make_server(uvicorn, config)
    with bind_socket("127.0.0.1", 0) as listener:
        runner = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        runner.start()
        while not server.started and runner.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", thread
        server.should_exit = True
        runner.join(60)
        assert not runner.is_alive()

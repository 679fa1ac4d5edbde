"""Serves the demo over a real socket in this process, with an author whose texts are given."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator

from tests.support.browser import chromium, told_by, with_probe


class ScriptedAuthor:
    """Stands in for a model: gives texts in small portions. `closed` counts ended answers."""

    name, note, writes_code, witness_is_known = "a stand-in", "", True, False

    def __init__(self, monologue="", code="", repair="", *, size=7, cut=False, pause=0.0):
        self.texts = {"monologue": monologue, "code": code, "repair": repair}
        self.size, self.cut, self.pause, self.closed = size, cut, pause, 0

    def monologue(self, trace, direction):
        return self._portions("monologue")

    def code(self, request):
        return self._portions("code")

    def repair(self, request, failure):
        return self._portions("repair")

    async def _portions(self, kind) -> AsyncIterator:
        from semcoder_jax.demo.authors import Portion

        text = self.texts[kind]
        try:
            for start in range(0, len(text), self.size):
                yield Portion(text[start : start + self.size])
                await asyncio.sleep(self.pause)
            yield Portion("", self.cut)
        finally:
            self.closed += 1


class Page:
    """A served demo: its address, and a browser in it."""

    def __init__(self, address: str, app):
        self.address, self._app = address, app

    def run(self, script: str, *flags: str, section: str = "tell") -> str:
        """Runs the body of an async function in the page and returns its text."""
        self._app.state.script = f"{WAITING}\n{script}"
        return told_by(chromium(f"{self.address}/probe#{section}", "--dump-dom", *flags))


WAITING = """
const at = (id) => document.getElementById(id);
const texts = (css) => [...document.querySelectorAll(css)].map((node) => node.textContent);
const settle = async () => {
  for (let n = 0; n < 400; n++) {
    await fetch('/wait');  // the browser's own clock runs ahead of a stream
    if (!document.body.dataset.busy) return;
  }
  throw new Error("still busy");
};
const json = (value) => JSON.stringify(value)
  .replaceAll('<', '\\\\u003c').replaceAll('&', '\\\\u0026').replaceAll('>', '\\\\u003e');
"""


@contextlib.contextmanager
def serve_demo_page(author, sandbox) -> Iterator[Page]:
    """Yields the page of a demo by `author`; stops its server at the end."""
    import uvicorn
    from starlette.responses import HTMLResponse, PlainTextResponse
    from starlette.routing import Route

    from semcoder_jax.demo.app import Demo, make_app
    from semcoder_jax.server.hosts import HostRule
    from semcoder_jax.server.run import bind_socket, make_server

    demo = Demo(author, sandbox)
    app = make_app(demo, HostRule.of_binding("127.0.0.1"))

    def probe(request):
        return HTMLResponse(with_probe(demo.page(request).body.decode(), app.state.script))

    async def wait(_):
        await asyncio.sleep(0.03)
        return PlainTextResponse("")

    app.router.routes += [Route("/probe", probe), Route("/wait", wait)]
    server = make_server(uvicorn, uvicorn.Config(app, log_config=None))
    with bind_socket("127.0.0.1", 0) as listener:
        runner = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        runner.start()
        while not server.started and runner.is_alive():
            time.sleep(0.01)
        yield Page(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
        server.should_exit = True
        runner.join(30)
        assert not runner.is_alive()

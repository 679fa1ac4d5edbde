"""Runs a local OpenAI-compatible server that misbehaves on demand, with real HTTP on loopback.

API: https://platform.openai.com/docs/api-reference (completions, chat, models).
"""

import json
import socket
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "stand-in"


class StandIn:
    """`answer(body)` returns the text for a request, or one text for each choice.

    `faults`: replace the answers to the next requests, in order:
      (status, headers, body)   that response, such as (429, {"retry-after": "0"}, {"error": ...})
      "truncated"               a 200 whose body ends early
      "malformed"               a 200 that is not JSON
      "empty"                   a 200 whose JSON has no choices
      "silent"                  nothing for `silence` seconds, then the answer
      "hang up"                 the connection is closed without a byte
      None                      an answer as usual
    `refusal(path, body)` returns None, or (status, body) of the refusal of a request.
    `requests`: (path, headers, body) of each request, in order of arrival; `most_at_once`.
    """

    def __init__(
        self,
        answer=lambda body: "ok",
        faults=(),
        silence=1.0,
        pause=0.0,
        refusal=lambda path, body: None,
    ):
        self.answer, self.faults, self.refusal = answer, deque(faults), refusal
        self.silence, self.pause = silence, pause
        self.requests, self.arrivals = [], []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._server.shutdown()
        self._server.server_close()


def _usage(body: dict, texts: list[str]) -> dict:
    asked = body.get("prompt") or " ".join(m["content"] for m in body["messages"])
    counts = len(asked.split()), sum(len(text.split()) for text in texts)
    return {
        "prompt_tokens": counts[0],
        "completion_tokens": counts[1],
        "total_tokens": sum(counts),
    }


def _handler(stand_in: StandIn):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *unused):
            pass

        def do_GET(self):
            self.respond(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with stand_in.lock:
                stand_in.requests.append((self.path, dict(self.headers), body))
                stand_in.arrivals.append(time.monotonic())
                refusal = stand_in.refusal(self.path, body)
                fault = stand_in.faults.popleft() if stand_in.faults else None
                if refusal is not None:
                    fault = (refusal[0], {}, refusal[1])
                stand_in.at_once += 1
                stand_in.most_at_once = max(stand_in.most_at_once, stand_in.at_once)
            try:
                time.sleep(stand_in.pause)
                self.meet(fault, body)
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                with stand_in.lock:
                    stand_in.at_once -= 1

        def meet(self, fault, body):
            if fault == "hang up":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif fault == "malformed":
                self.raw(200, b'{"choices": [{"text": oops')
            elif fault == "empty":
                self.respond(200, {"choices": []})
            elif fault == "truncated":
                whole = json.dumps(self.answer_to(body)).encode()
                self.raw(200, whole[: len(whole) // 2], claimed=len(whole))
                self.close_connection = True
            elif isinstance(fault, tuple):
                self.respond(fault[0], fault[2], fault[1])
            else:
                if fault == "silent":
                    time.sleep(stand_in.silence)
                self.respond(200, self.answer_to(body))

        def answer_to(self, body: dict) -> dict:
            texts = stand_in.answer(body)
            texts = [texts] * body.get("n", 1) if isinstance(texts, str) else list(texts)
            chat = self.path.endswith("/chat/completions")
            choices = [
                {"index": i, "finish_reason": "stop"}
                | ({"message": {"role": "assistant", "content": t}} if chat else {"text": t})
                for i, t in enumerate(texts)
            ]
            return {
                "object": "chat.completion" if chat else "text_completion",
                "model": body["model"],
                "choices": choices,
                "usage": _usage(body, texts),
            }

        def respond(self, status: int, told, headers=None):
            self.raw(status, json.dumps(told).encode(), headers)

        def raw(self, status, data, headers=None, claimed=None):
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data) if claimed is None else claimed))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    return Handler

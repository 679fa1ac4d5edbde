"""Reads the body of a request as JSON; refuses what is large, slow or of another type.

Python's JSON parser holds the interpreter's lock for the whole body, so that a body of millions
of values would stop the event loop although it is parsed in another thread. `parse_json` counts
the values first, in pieces that let other threads run.
"""

import asyncio
import json

from starlette.requests import Request
from starlette.responses import JSONResponse

from semcoder_jax.server.error_body import error_body

LARGEST_BODY = 16 << 20
# Parsed in a few hundredths of a second. As token ids: 64 prompts of 4,096 tokens.
MOST_VALUES = 1 << 18
_PIECE = 1 << 16  # bytes counted at a time, in about a millisecond


class Refusal(Exception):
    """Carries an error response, ready to send."""

    def __init__(self, status: int, body: dict, headers: dict | None = None):
        self.response = JSONResponse(body, status, headers)


async def read_body(request: Request, seconds: float) -> bytes:
    """Returns the body of a request; refuses other types, large bodies and slow ones."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = f"content type {kind or 'missing'}, expected application/json"
        raise Refusal(415, error_body(message, "invalid_request_error"))
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_BODY:
                    message = f"the body has more than {LARGEST_BODY} bytes"
                    raise Refusal(413, error_body(message, "invalid_request_error"))
    except TimeoutError:
        message = f"the body did not arrive within {seconds:g} seconds"
        answer = error_body(message, "invalid_request_error")
        raise Refusal(408, answer, {"Connection": "close"}) from None
    return bytes(body)


def parse_json(content: bytes):
    """Parses a body; takes no longer than a few hundredths of a second without a pause."""
    if count_values(content) > MOST_VALUES:
        message = f"the body has more than {MOST_VALUES} values: send fewer prompts at a time"
        raise Refusal(413, error_body(message, "invalid_request_error"))
    try:
        return json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        message = f"the body is not JSON ({error})"
        raise Refusal(400, error_body(message, "invalid_request_error")) from None


def count_values(content: bytes) -> int:
    """Counts the keys and values of a JSON text by the commas and colons outside of its strings."""
    count, in_string, escaped = 1, False, False
    for start in range(0, len(content), _PIECE):
        piece = content[start : start + _PIECE]
        if escaped:
            piece = b"_" + piece[1:]
        escaped = (len(piece) - len(piece.rstrip(b"\\"))) % 2 == 1
        parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        for part in parts[in_string::2]:
            count += part.count(b",") + part.count(b":")
        in_string ^= len(parts) % 2 == 0
    return count


def _no_constant(name: str):
    raise ValueError(f"{name} is no number of JSON")

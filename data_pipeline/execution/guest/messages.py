"""Sends and receives messages on a descriptor: 4 bytes of length (big-endian), then JSON.

Standard library only: this file also runs inside the sandbox.
"""

import json
import os
from typing import Any

ANSWER = 40  # descriptor on which a sample's process answers
HEAD = 4  # bytes of a message's length
MAX_MESSAGE = 256 << 20  # bytes of a message that is received

# Taken before a program can replace them in their modules.
_write, _read, _loads = os.write, os.read, json.loads
_encode = json.encoder.c_make_encoder(  # type: ignore[misc]
    None, None, json.encoder.encode_basestring_ascii, None, ": ", ", ", False, False, True
)


def json_text(tree: Any) -> str:
    """Returns the ASCII JSON of plain values by the C encoder, out of reach of any program."""
    return "".join(_encode(tree, 0))


def send(descriptor: int, message: Any) -> None:
    """Sends a message. Raises OSError if the other end closed."""
    data = json_text(message).encode()
    write_all(descriptor, len(data).to_bytes(HEAD, "big") + data)


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[_write(descriptor, view) :]


def receive(descriptor: int, most: int = MAX_MESSAGE) -> Any:
    """Returns the next message, or None if the other end closed.

    Raises ValueError for bad JSON and for a message of more than `most` bytes.
    """
    head = read_exactly(descriptor, HEAD)
    return None if head is None else receive_body(descriptor, head, most)


def receive_body(descriptor: int, head: bytes, most: int = MAX_MESSAGE) -> Any:
    """Returns the message whose length is `head`; see `receive`."""
    size = int.from_bytes(head, "big")
    if size > most:
        raise ValueError(f"a message of {size} bytes, more than {most}")
    data = read_exactly(descriptor, size)
    return None if data is None else _loads(data)


def read_exactly(descriptor: int, size: int) -> bytes | None:
    """Reads `size` bytes; returns None if the other end closes earlier."""
    parts = []
    while size:
        part = _read(descriptor, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)

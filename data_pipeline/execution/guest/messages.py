"""Sends and receives messages on a descriptor: 4 bytes of length (big-endian), then JSON.

Standard library only: this file also runs inside the sandbox.
"""

import json
import os
from typing import Any

ANSWER = 40  # descriptor on which a sample's process answers


def send(descriptor: int, message: Any) -> None:
    """Sends a message. Raises OSError if the other end closed."""
    data = json.dumps(message).encode()
    write_all(descriptor, len(data).to_bytes(4, "big") + data)


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def receive(descriptor: int) -> Any:
    """Returns the next message, or None if the other end closed. Raises ValueError for bad JSON."""
    head = read_exactly(descriptor, 4)
    if head is None:
        return None
    data = read_exactly(descriptor, int.from_bytes(head, "big"))
    return None if data is None else json.loads(data)


def read_exactly(descriptor: int, size: int) -> bytes | None:
    """Reads `size` bytes; returns None if the other end closes earlier."""
    parts = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)

"""Looks for what earlier samples left: a program that searches its process, and secrets to plant.

A secret is a mark followed by 64 random hexadecimal digits, so the program that searches for it
need not know it. It searches the local variables of all frames and every readable page of memory
near any object, by having the kernel copy pages to a pipe (which fails softly on holes).
"""

import hashlib
import secrets
from collections.abc import Sequence

from data_pipeline.execution.guest.values import encode
from data_pipeline.execution.job import Job
from data_pipeline.execution.service import (
    TraceLimits,
    call_job,
    expression_job,
    function_job,
    series_job,
    stdin_job,
    test_job,
)

MARK = "SEMCODERLEAK="
SCANNER = r"""
import ctypes, gc, os, re, sys

BLOCK, PAGE, REACH = 1 << 16, 1 << 12, 8
MARK = b"SEMCODER" + b"LEAK="
PATTERN = re.compile(MARK + b"([0-9a-f]{64})")

def seeds():
    small, large = bytearray(700), bytearray(1 << 18)  # by malloc, and a mapping of its own
    yield from (ctypes.addressof((ctypes.c_char * len(b)).from_buffer(b)) for b in (small, large))
    yield from map(id, gc.get_objects())
    yield from map(id, sys.modules.values())

def frames():
    frame, found = sys._getframe(), set()
    while frame is not None:
        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
            if type(value) in (str, bytes, dict, list, tuple):
                found.update(PATTERN.findall(ascii(value).encode()))
        frame = frame.f_back
    return found

def memory():
    write = ctypes.CDLL(None).write
    out, into = os.pipe()
    found, seen, readable = set(), set(), 0
    waiting = {address // BLOCK for address in seeds()}
    while waiting:
        block = waiting.pop()
        seen.add(block)
        at, data, last = block * BLOCK, [], (block + 1) * BLOCK
        while at < last:
            size = write(into, ctypes.c_void_p(at), ctypes.c_size_t(last - at))
            if size > 0:
                data.append(os.read(out, size))
            at += size if size > 0 else PAGE
        if data:
            readable += 1
            text = b"".join(data)
            found.update(PATTERN.findall(text) if MARK in text else ())
            waiting.update(set(range(block - REACH, block + REACH + 1)) - seen)
    return found, readable

def look(*unused):
    found, readable = memory()
    return [sorted(text.decode() for text in found | frames()), readable]
"""
# What a sample does with its input: its answer is the mark and another secret.
ANSWERING = f"""
import hashlib, os
def f(text, how="return"):
    answer = {MARK!r} + hashlib.sha256(text.encode()).hexdigest()
    print(answer)
    if how == "raise":
        raise ValueError(answer)
    if how == "die":
        os._exit(1)
    return answer
"""
_SCRIPT = f"""
import hashlib
print({MARK!r} + hashlib.sha256(input().encode()).hexdigest())
"""


def make_secret() -> tuple[str, frozenset[str]]:
    """Returns a text to plant, and the digits of it and of the answer to it."""
    text = MARK + secrets.token_hex(32)
    return text, frozenset({text.removeprefix(MARK), hashlib.sha256(text.encode()).hexdigest()})


def planting_jobs(text: str) -> Sequence[Job]:
    """Returns a job of every kind whose program, input and answer hold the secret."""
    program = f"{ANSWERING}note = {text!r}\n"
    test = f"expected = {text!r}\nassert len(candidate({text!r})) == {len(text)}\n"
    return (
        call_job(program, f"f({text!r})"),
        call_job(program, f"f({text!r})", trace=TraceLimits()),
        call_job(program, f"f({text!r}, 'raise')"),
        call_job(program, f"f({text!r}, how='die')"),
        function_job(program, "f", text, kwargs={"how": "return"}),
        expression_job(program, f"f({text!r})"),
        stdin_job(_SCRIPT, text + "\n"),
        series_job(program, "f", [encode([text])] * 3, [1.0] * 3),
        test_job(program, test, "f"),
    )

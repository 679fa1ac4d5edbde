"""What a sample writes to its answer is untrusted: it can spoil its own result alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline.execution import answers
from data_pipeline.execution.guest import values
from data_pipeline.execution.outcomes import Died, Limit, Value
from data_pipeline.execution.service import Limits, TraceLimits, call_job, test_job
from tests.support.sandboxes import open_sandbox

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.sandbox
GOOD = "def f(x):\n    return [x]\n"
DESCRIPTOR = 40
MALFORMED = Died("the sandboxed process returned a malformed message")


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def forging(data: bytes, ending: str = "os._exit(0)") -> str:
    """Returns a program that writes `data` as its answer."""
    return (
        f"import os\ndata = {data!r}\ndef f(x):\n    os.write({DESCRIPTOR}, data)\n    {ending}\n"
    )


VALUE = b'{"outcome": ["value", 1]}'
FORGED = {
    "two messages": frame(VALUE) * 2,
    "a message and zeros": frame(VALUE) + bytes(8),
    "twelve zeros": bytes(12),
    "four zeros": bytes(4),
    "a part of a head": b"\0\0",
    "a head alone": frame(VALUE)[:4],
    "a message cut off": frame(VALUE)[:-1],
    "a negative length": b"\xff\xff\xff\xff" + VALUE,
    "a huge length": b"\x7f\xff\xff\xff" + VALUE,
    "no JSON": frame(b"value"),
    "no UTF-8": frame(b'{"outcome": ["value", "\xff\xfe"]}'),
    "not ASCII": frame('{"outcome": ["value", "é"]}'.encode()),
    "no object": frame(b"[1]"),
    "no outcome": frame(b"{}"),
    "an unknown outcome": frame(b'{"outcome": ["pass"]}'),
    "an outcome of numbers": frame(b'{"outcome": 7}'),
    "an endless integer": frame(b'{"outcome": ["value", ' + b"9" * 50_000 + b"]}"),
    "brackets": frame(b"[" * 60_000),
    "braces": frame(b'{"a":' * 30_000),
    "a deep value": frame(b'{"outcome": ["value", ' + b'["l", ' * 400 + b"1" + b"]" * 401 + b"}"),
    "a deeper value": frame(b'{"outcome": ["value", ' + b"[" * 990 + b"]" * 991 + b"}"),
    "a message of no text": frame(b'{"outcome": ["exception", "E", [], null]}'),
    "a limit that is none": frame(b'{"outcome": ["limit", "luck", ""]}'),
}


@pytest.fixture(scope="module", params=["A", "B"])
def single(request):
    limits = Limits(cpu_seconds=2.0, wall_seconds=10.0, memory_bytes=256 << 20)
    with open_sandbox(tier=request.param, workers=1, limits=limits) as made:
        yield made


def test_a_forged_answer_ends_its_sample_alone(single):
    jobs = []
    for data in FORGED.values():
        jobs += [call_job(forging(data), "f(1)"), call_job(GOOD, "f(7)")]
        jobs += [call_job(forging(data), "f(1)", trace=TraceLimits()), call_job(GOOD, "f(7)")]
        jobs += [call_job(forging(data, "return 2"), "f(1)")]
    results = list(single.map(jobs))
    assert len(results) == 5 * len(FORGED)
    for number, name in enumerate(FORGED):
        forged, after, traced, again, both = results[5 * number : 5 * number + 5]
        assert forged.outcome == traced.outcome == both.outcome == MALFORMED, name
        assert after.outcome == again.outcome == Value(["l", 7]), name
        assert {forged.tries, after.tries, traced.tries, again.tries, both.tries} == {1}


EVENT = ["line", 2, "f", 0, 0, {}, [], None, None, None, None, 0]
TRACE = {"events": [EVENT], "loops": [[3, "for", "f", 0, 1]], "call": "f(1)", "result": "1",
         "raised": None, "truncated": None, "clipped": 0}  # fmt: skip
# Place in an event -> values that no recorder writes there.
ODD = {
    0: (None, 1, [], True), 1: (None, -1, 10**9, 1.5, "1", True), 2: (None, 1, []),
    3: (None, -1, 1.5, "0", True), 4: (None, -1, 1.5, "0", True),
    5: (None, [1], {"a": 1}, "a", 1), 6: (None, "a", [1], {}, 1), 7: (1, [], True),
    8: (1, "a", [1], ["E", "m"], ["E", 1, None], ["E", "m", "2"]), 9: (1, "a", []),
    10: (-1, 1.5, "1", True), 11: (None, -1, 1.5, "0", True),
}  # fmt: skip


def test_a_forged_trace_is_refused_part_by_part():
    """Otherwise those who read the trace meet a line that the program does not have."""

    def read(**changed):
        reply = {"outcome": ["value", 1], "trace": TRACE | changed}
        return answers.read_answer(frame(json.dumps(reply).encode()), GOOD + "\n")

    assert read()[0] == Value(1) and read()[1] is not None
    for place, wrong in ODD.items():
        for odd in wrong:
            event = [*EVENT[:place], odd, *EVENT[place + 1 :]]
            assert read(events=[event]) == (MALFORMED, None), (place, odd)
    for name in ("events", "loops", "call", "clipped"):
        for odd in (None, -1, 1.5, [7], "text" if name != "call" else 7):
            assert read(**{name: odd}) == (MALFORMED, None), (name, odd)


def test_a_whole_forged_answer_is_a_value_like_any_other(single):
    assert single.call(forging(frame(VALUE)), "f(1)").outcome == Value(1)


def test_an_answer_past_its_limit_is_stopped(single):
    spam = f"import os\ndef f(x):\n    while True:\n        os.write({DESCRIPTOR}, bytes(60_000))\n"
    job = call_job(spam, "f(1)", limits=Limits(answer_bytes=1 << 20))
    ends, after = single.map([job, call_job(GOOD, "f(7)")])
    assert ends.outcome == Limit("output", f"the result passed {(1 << 20) + 4} bytes")
    assert after.outcome == Value(["l", 7])


def test_forged_answers_to_a_test_fail_it(single):
    forging = """
import os
frame = lambda data: len(data).to_bytes(4, "big") + data
def f(x):
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, %s)
        except OSError:
            pass
    return 1
"""
    for data in ("bytes(12)", "frame(b'{}')", "b'\\xff' * 12", "frame(b'[' * 5000)"):
        result = single.run(test_job(forging % data, "assert f(1) == 2", "f"))
        assert result.kind in ("died", "exception"), (data, result)


_BOUNDED = """
import resource, sys
from data_pipeline.execution.service import Limits, Sandbox, call_job
limits = Limits(cpu_seconds=20, wall_seconds=60, answer_bytes=64 << 20, memory_bytes=1 << 30)
forged = {"lists": b"[],", "objects": b'{"":0},'}
with Sandbox(tier=sys.argv[1], workers=1, limits=limits) as sandbox:
    sandbox.call("def f(x): return x", "f(1)")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, part in forged.items():
        program = f'''
import os
def f(x):
    data = b'{{"outcome": ["value", ["l",' + {part!r} * (63_000_000 // {len(part)}) + b'1]]}}'
    data = len(data).to_bytes(4, "big") + data
    while data:
        data = data[os.write(40, data[:1 << 16]):] if len(data) < 1 << 20 else rest(data)
def rest(data):
    view = memoryview(data)
    while view:
        view = view[os.write(40, view[:1 << 20]):]
    os._exit(0)
'''
        result = sandbox.call(program, "f(1)")
        assert result.kind == "died", (name, result.kind)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) // 1024)
"""


def test_a_large_forged_answer_takes_the_caller_little_memory():
    with open_sandbox(workers=1) as sandbox:
        tier = sandbox.tier
    done = subprocess.run(
        [sys.executable, "-c", _BOUNDED, tier],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 3 * 64 + 40  # MiB: the bytes and their copies, nothing parsed


@pytest.mark.parametrize(
    "text",
    ["[" + "[]," * 50_000 + "1]", "[" + '{"":0},' * 50_000 + "1]", "[" + '"",' * 50_000 + "1]",
     "[" + "123456," * 50_000 + "1]", "[" + '["l",1],' * 50_000 + "1]",
     '["' + "\\\\ud83d\\\\ude00".replace("\\\\", "\\") + "a" * 500_000 + '"]',
     "{" + ",".join(f'"k{n}":{n + 1000}' for n in range(50_000)) + "}",
     "[" + '{"a":[{}]},' * 20_000 + "1]"],
)  # fmt: skip
def test_the_bound_holds_for_what_is_parsed(text):
    """Measured by Python's own count of allocated bytes."""
    import tracemalloc

    data = text.encode()
    tracemalloc.start()
    parsed = json.loads(data)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert parsed is not None and used > 100_000
    assert used <= answers.parsed_size(data)


def test_the_largest_honest_wrongare_within_the_bound():
    tree = values.encode([{"a": 0.5}] * (values.MAX_NODES // 3 - 1))
    data = json.dumps({"outcome": ["value", tree]}).encode()
    outcome, trace = answers.read_answer(frame(data), None)
    assert isinstance(outcome, Value) and trace is None

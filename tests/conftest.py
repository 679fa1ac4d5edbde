"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of golden data (prompts, tokenizers, benchmarks); skips where it is not set."""
    path = os.environ.get("SEMCODER_SHARED_DATA")
    if not path:
        pytest.skip("needs golden data: set SEMCODER_SHARED_DATA to the folder that holds it")
    return Path(path)


@pytest.fixture(scope="session")
def compiled_programs(tmp_path_factory) -> Path:
    """A folder of compiled programs for all tests that train."""
    return tmp_path_factory.mktemp("compiled")


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

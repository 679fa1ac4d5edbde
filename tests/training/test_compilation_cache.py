"""Tests where compiled programs are stored.

tests/training/test_log.py tests that they are read again.
"""

import jax
import pytest

from semcoder_jax.training.compilation_cache import enable_compilation_cache


@pytest.fixture
def no_place():
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def test_in_the_users_folder_unless_jax_was_told_another(no_place, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path))
    enable_compilation_cache(tmp_path / "run")
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "compiled")
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path / "other"))
    enable_compilation_cache(tmp_path / "run")
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "compiled")


def test_of_several_processes_where_all_of_them_see_it(no_place, tmp_path, monkeypatch):
    """JAX writes from the first process alone."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    enable_compilation_cache(tmp_path / "run")
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "run" / "compiled")

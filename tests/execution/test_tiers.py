"""Tests which tier the sandbox chooses, and the message if this machine can start none."""

import os

import pytest

from data_pipeline.execution import oracles
from data_pipeline.execution.service import (
    Sandbox,
    SandboxUnavailable,
    Setup,
)
from tests.support.another_user import run_as_another_user
from tests.support.sandboxes import LIMITS

pytestmark = pytest.mark.sandbox


def test_without_bubblewrap_it_says_so_and_takes_tier_b(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="apt-get install bubblewrap"):
        Sandbox(tier="A", workers=1)
    try:
        with Sandbox(workers=1, limits=LIMITS) as sandbox:
            assert sandbox.tier == "B" and capsys.readouterr().err == ""
            sandbox.warn_if_weaker()
            assert "apt-get install bubblewrap" in capsys.readouterr().err
            assert oracles.is_exact(sandbox.call("def f(x): return x", "f(1)"), 1)
    except SandboxUnavailable as error:
        pytest.skip(f"no tier B here: {error}")


def test_where_namespaces_are_refused_it_takes_tier_b(monkeypatch, tmp_path):
    """Simulates a container whose seccomp profile forbids user namespaces."""
    refusing = tmp_path / "bwrap"
    refusing.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    refusing.chmod(0o755)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:  # pytest's own, one more in a worker of a parallel run
            parent.chmod(mode | 0o111)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SandboxUnavailable, match="No permissions to create new namespace"):
        Sandbox(tier="A", workers=1)
    try:
        with Sandbox(workers=1, limits=LIMITS) as sandbox:
            assert sandbox.tier == "B"
    except SandboxUnavailable as error:
        pytest.skip(f"no tier B here: {error}")


def test_refusal_says_what_to_install(monkeypatch, tmp_path):
    from data_pipeline.execution.guest import landlock

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(landlock, "version", lambda: 0)
    with pytest.raises(SandboxUnavailable) as caught:
        Sandbox(workers=1)
    assert "bubblewrap" in str(caught.value) and "--allow_weak" in str(caught.value)
    with pytest.raises(SandboxUnavailable, match="allow_weak"):
        Sandbox(tier="C", workers=1)
    with pytest.raises(SandboxUnavailable, match="scratch folder needs tier A"):
        Sandbox(tier="B", workers=1, setup=Setup(scratch_bytes=1 << 20))


def test_works_without_being_root():
    code = (
        "from data_pipeline.execution.service import Sandbox, SandboxUnavailable\n"
        "for tier in 'AB':\n"
        "    try:\n"
        "        with Sandbox(tier=tier, workers=1) as s:\n"
        "            r = s.call('import os\\ndef f(x): return [x, os.getuid() != 0]', 'f(1)')\n"
        "            print(tier, r.outcome)\n"
        "    except SandboxUnavailable as e:\n"
        "        print(tier, 'refused', e)\n"
    )
    done = run_as_another_user(code)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert "refused" in line or "Value(tree=['l', 1, True])" in line, line
    assert any("Value" in line for line in lines), lines


def test_a_closed_sandbox_refuses_at_once():
    try:
        sandbox = Sandbox(workers=1, limits=LIMITS)
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox here: {error}")
    with sandbox:
        assert oracles.is_exact(sandbox.call("def f(x): return x", "f(1)"), 1)
    with pytest.raises(SandboxUnavailable, match="closed"):
        sandbox.call("def f(x): return x", "f(1)")

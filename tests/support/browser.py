"""Renders pages in headless Chromium from Debian."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1500,1400", "--virtual-time-budget=20000",
)  # fmt: skip


def chromium(page: Path | str, *flags: str) -> str:
    """Returns Chromium's output for a file or an address; skips the test if it is missing."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs a browser: apt-get install chromium")
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    address = page if isinstance(page, str) else page.as_uri()
    with tempfile.TemporaryDirectory() as profile:
        command = [program, *FLAGS, *root, f"--user-data-dir={profile}", *flags, address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def with_probe(content: str, script: str) -> str:
    """Returns a page that runs JavaScript once it is loaded and then shows the text it returns.

    script: the body of an async function.
    """
    probe = f"""<script>(async () => {{
      await new Promise((ready) => setTimeout(ready, 300));
      const out = document.createElement('output');
      out.id = 'told';
      try {{ out.textContent = await (async () => {{ {script} }})(); }}
      catch (error) {{ out.textContent = `${{error}}`; }}
      document.body.replaceChildren(out);
    }})();</script>"""
    return content.replace("</body>", probe + "</body>")


def told_by(document: str) -> str:
    """Returns the text that the script of `with_probe` returned."""
    _, _, told = document.partition('<output id="told">')
    return told.partition("</output>")[0]


def run_in_page(page: Path, script: str, *flags: str) -> str:
    """Runs JavaScript in the loaded page and returns the text that it returns.

    script: the body of an async function.
    """
    probe = page.with_name(f"probe_{page.name}")
    probe.write_text(with_probe(page.read_text(encoding="utf-8"), script), encoding="utf-8")
    return told_by(chromium(probe, "--dump-dom", *flags))

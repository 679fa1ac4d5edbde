"""Tests that drawing from a small family of functions ends with a line."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline.toy import corpus, drawing
from data_pipeline.toy.corpus import ToyProgram

_REPOSITORY = Path(__file__).parents[2]


def test_items_in_vain_are_counted_since_the_last_new_one(monkeypatch):
    monkeypatch.setattr(drawing, "PATIENCE", 3)
    quota = drawing.Quota({None: 9})
    taken = [quota.takes(fingerprint) for fingerprint in "aaabbb"]
    assert taken == [True, False, False, True, False, False]
    with pytest.raises(drawing.DrawingError, match="only 2 of 9 functions were found"):
        quota.takes("a")


def test_no_group_gets_more_than_it_wants():
    quota = drawing.Quota({"train": 1, "heldout": 2})
    drawn = [("a", "train"), ("b", "train"), ("c", "heldout"), ("a", "heldout"), ("d", "heldout")]
    assert [quota.takes(*one) for one in drawn] == [True, False, True, False, True]
    assert quota.is_met


def test_a_corpus_of_more_functions_than_there_are_ends(monkeypatch, tmp_path):
    """The family has two functions here."""
    monkeypatch.setattr(drawing, "PATIENCE", 20)
    programs = [ToyProgram(f"def f(n):\n    return n {sign} 1", "f(n=3)") for sign in "+-"]
    monkeypatch.setattr(corpus, "random_program", lambda rng: rng.choice(programs))
    with pytest.raises(drawing.DrawingError, match="only 2 of 3 functions"):
        corpus.build(tmp_path / "corpus", functions=3, workers=1, progress=False)
    assert not (tmp_path / "corpus" / "corpus.json").exists()


def test_a_corpus_that_lost_a_file_is_built_again(tmp_path):
    def build() -> corpus.Corpus:
        return corpus.build(tmp_path / "corpus", functions=5, workers=1, progress=False)

    made = build()
    before = made.train.read_bytes()
    made.train.unlink()
    assert build().train.read_bytes() == before


def test_ctrl_c_stops_a_drawing_without_a_word_of_its_workers(tmp_path):
    """Sends SIGINT to the whole group, as a terminal does, while workers start."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\n"
        "if '--multiprocessing-fork' in sys.orig_argv:\n"
        "    print('starting', file=sys.stderr, flush=True)\n"
        "    time.sleep(1)\n"
    )
    script = tmp_path / "draw.py"
    script.write_text(
        "from data_pipeline.toy import corpus\n"
        "if __name__ == '__main__':\n"
        f"    corpus.build({str(tmp_path / 'corpus')!r}, functions=20_000)\n"
    )
    drawing_process = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": f"{_REPOSITORY}{os.pathsep}{tmp_path}"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while "starting" not in drawing_process.stderr.readline():
        assert drawing_process.poll() is None
    os.killpg(drawing_process.pid, signal.SIGINT)
    said = drawing_process.communicate(timeout=60)[1]
    assert drawing_process.returncode == -signal.SIGINT
    assert said.count("Traceback") == 1 and "KeyboardInterrupt" in said  # of the script itself


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_a_process_that_is_killed(tmp_path, number):
    """They hold its stderr open: that it ends shows that they are gone."""
    script = tmp_path / "draw.py"
    script.write_text(
        "import sys\n"
        "if __name__ == '__main__':\n"
        "    from data_pipeline.toy.drawing import draw_chunks\n"
        "    chunks = draw_chunks(str, 2)\n"
        "    print(next(chunks), file=sys.stderr, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(_REPOSITORY)},
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr.readline() == "0\n"
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == -number


def test_a_drawing_that_is_stopped_waits_for_no_chunk():
    """A chunk takes seconds, which a Ctrl-C would wait."""
    chunks = drawing.draw_chunks(abs, 2)
    before = set(multiprocessing.active_children())
    next(chunks)
    workers = set(multiprocessing.active_children()) - before
    chunks.close()
    assert [worker.exitcode for worker in workers] == [-signal.SIGKILL] * 2


def test_workers_do_not_import_the_command(tmp_path):
    """Those of a quickstart would import JAX, for seconds."""
    script = tmp_path / "command.py"
    script.write_text(
        "print('imported', flush=True)\n"
        "if __name__ == '__main__':\n"
        "    from data_pipeline.toy.drawing import draw_chunks\n"
        "    chunks = draw_chunks(str, 2)\n"
        "    print(next(chunks), next(chunks))\n"
        "    chunks.close()\n"
        "    print(__spec__, __file__)\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(_REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == (f"imported\n0 1\nNone {script}\n", "")


def test_an_interrupt_while_workers_start_is_not_lost(monkeypatch):
    """Sends SIGINT just before the first worker is started."""
    hide = drawing._hidden_main_module

    def hidden_main_module():
        os.kill(os.getpid(), signal.SIGINT)
        return hide()

    monkeypatch.setattr(drawing, "_hidden_main_module", hidden_main_module)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            next(drawing.draw_chunks(abs, workers=2))
    finally:
        signal.signal(signal.SIGINT, before)

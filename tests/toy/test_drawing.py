"""Tests that drawing from a small family of functions ends with a line."""

import pytest

from data_pipeline.toy import corpus, drawing
from data_pipeline.toy.corpus import ToyProgram


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

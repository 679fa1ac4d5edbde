"""Aligns descriptions of code with the operations of a program, whatever their grammar.

A sentence is cut into segments, each about one operation. A segment is aligned if the operation
has a verb that people use for it, if every name, literal and number of the segment stands in the
role that its preposition names, and if every word is explained by the operation, by its operands or
by words that claim nothing. One word left over, and the sentence stays unread.

- `lexicon`: the words, as tables to extend: verbs, words that claim nothing, words that must be
  explained exactly
- `segments`: conditions, places and segments of a sentence
- `conditions`, `reach`: the branch whose test a condition states, and what it surely does
- `evidence`: what an operation and its operands explain
- `qualities`, `results`: words that are true for a reason only, of parts and of returned values
- `aligner`: puts them together
"""

from data_pipeline.verify.alignment.aligner import Aligner

__all__ = ["Aligner"]

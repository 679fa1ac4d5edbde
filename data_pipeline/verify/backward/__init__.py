"""Verifies monologues that reason from an output to an input.

- `deduction` reads the lines, with `nouns`, `properties`, `choices`, `code`, `examples`, `run`,
  `goal`, `plain` and `wording`; `witness` is the input that the answer names, and its run
- `general`, with `behaviour`, `invariants` and `trials`: what the function is said to do with any
  input, tried on some
- `proposals`, with `turns`: inputs that a text tries out, and what it tells of their runs
- `faults`: what a sentence presupposes falsely
"""

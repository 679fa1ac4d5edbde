"""Verifies monologues that reason from an output to an input.

- `deduction` reads the lines, with `nouns`, `properties`, `choices`, `code`, `examples`, `run`,
  `goal`, `plain` and `wording`; `witness` is the input that the answer names, and its run
- `general`, with `behaviour`, `invariants` and `trials`: what the function is said to do with any
  input, tried on some
- `necessities` and `offers` search for inputs that give the output: what all of them must have, and
  whether some, or any, are as a line describes them
- `relations` tests a value against others, `orders` what a line says of parts and their order
- `contents` tests what texts are made of, `listed_parts` the parts of a value that a line lists
- `instances`: inputs that a sentence writes out; `domains`: which inputs the function takes;
  `explanations`: what a conclusion says the run comes to
- `proposals`, with `turns`: inputs that a text tries out, and what it tells of their runs
- `faults`: what a sentence presupposes falsely
"""

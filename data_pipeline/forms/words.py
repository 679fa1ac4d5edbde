"""Words of the tokenizer that all forms share, so that none pays more for the same content.

A number, a variable before its value, a key of a scratchpad, the opening of a comment or of a step
are one token in each form. Numbers are always tokens of their own, also in step numbers, states
and turns: so a count that no training text reaches is still made of a known token. Preferred to
those of `toy.vocabulary`, in this order.
"""

from data_pipeline.toy import vocabulary

WORDS = (
    # monologues
    r"\.\n(?=\d)",  # the end of a step
    r"\. (?:\[L\d+\] |one way is that )?",  # from a step's number to its content
    r"iteration (?=\d)",
    r" of (?=[a-z])",
    r" does not start",
    r", so |: one way is | is free: one way is ",
    # programs
    r" # \[L\d+\](?:\n {4})?",  # a line's label, and the first indentation of the next line
    r"\n {4}",
    r" {4}",
    # scratchpads
    r" # \[(?:INPUT\] \{|OUTPUT\] |STATE-)",
    r"\} \[/(?:INPUT\]|STATE-)",
    r"\](?:\[STATE-| \{)",
    r" \[/OUTPUT\]\n(?:\[/?[A-Z]+\]\n+)+(?:assert f\()?",
    r'(?:, )?"[A-Za-z_]\w*": ',
    # numbered states
    r"  # \(",
    r"; (?:\.\.\. )?\(",
    r"; ",
    r"\) (?=[a-z]\w*=|return )",
    *vocabulary.WORDS,
)

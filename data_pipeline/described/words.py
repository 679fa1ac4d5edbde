"""Words of the described corpus, for its tokenizer: what a small model should read in one step."""

# Alternatives in order of preference. Where a prompt ends and an answer begins, a word ends too.
WORDS = (
    # Instructions and headings, which never change.
    r"You are an[^\n]*\n\n<NL_Description>\nWrite f\(",
    r"Debug and Refine[\s\S]*?### Problem\nWrite f\(",
    r"\. Your code should satisfy[^\n]*\n```python\n",
    r"\n```\n\n<Code>\n",
    r"\n\n### Buggy Solution\n```python",
    r"\n```\n\n### Failed Test\n```python\n",
    r"\n```(?:\n(?:\[/Refined\]|\n)?)?",
    r"\n*\[Refined\]\n```python",
    r"```python",
    # Steps of a diagnosis, and comments of an inlined run.
    r"\.?\n\d+\. Line \d+ \(`(?:return |if |def f\()?",
    r"\n# f\(",
    r"(?:\):)? # \[[A-Z]+(?:-\d+)?\] (?:\{\")?",
    r"\}? \[/[A-Z]+(?:-\d+)?\]",
    r"\": ",
    # Code.
    r"\n*(?:assert|def) f\(",
    r"\n +(?:return |if |else:)?",
    r"[)\]]? (?:[-+*%<>=]|[<>=!]=) ",
    r"[a-z]+=(?! )",
    r"\[:*-?\d*:*-?\d*\](?!`? is)",
    r"-?\d+|\[[-\d, ]*\]|True|False",
    # Prose between code: `a` is now 3, so `b` gets the value of `max(a, 2)`.
    r"`?\)?`?[.,:;]*\n*(?:### [^\n]*\n)? ?\(?`?"
    r"(?:(?!xs\b|f\b)[A-Za-z]{2,}(?:, | |, `| `|:|\()?)+(?:f\()?",
    r"[a-z]+\(?",
    r"[`)(:,. ]*`[`)(:, ]*(?:= )?|[^\sA-Za-z_\d\[\]'#`]+ ?",
    r"\s+",
)

"""Checks the words of a repair: applying them to the buggy program must give the right one.

Independent of `diagnosis.repair`: it knows the wording, but uses none of its code.
"""

import re

_SENTENCE = re.compile(
    r"(?P<read>Line (\d+) must read `([^`]*)`\.)"
    r"|(?P<indent>Line (\d+) \(`([^`]*)`\) must be indented by (\d+) spaces, not (\d+)\.)"
    r"|(?P<insert>(?:After line (\d+) \(`([^`]*)`\)|Before line 1) the lines? "
    r"(`[^`]*`(?:, `[^`]*`)*) must be put in\.)"
    r"|(?P<drop>Line \d+ \(`[^`]*`\)(?: and line \d+ \(`[^`]*`\))* must go\.)"
    r"|(?P<replace>Lines? (\d+)(?: to (\d+))? must be replaced by (`[^`]*`(?:, `[^`]*`)*)\.)"
)
_LINE = re.compile(r"[Ll]ine (\d+) \(`([^`]*)`\)")
_QUOTED = re.compile(r"`([^`]*)`")


def repair_fault(repair: str, right: str, buggy: str) -> str | None:
    """Returns the reason why the repair is wrong; None if it gives the right program.

    Ignores blank lines, and the indentation of inserted or rewritten lines, which is not stated.
    """
    old = buggy.rstrip("\n").split("\n")
    texts: list[str | None] = [line.strip() for line in old]
    indents: dict[int, int] = {}  # line of the buggy program -> the indentation it must get
    put_in: dict[int, list[str]] = {}  # line of the buggy program -> lines to insert after it
    at = 0
    while at < len(repair):
        said = _SENTENCE.match(repair, at)
        if said is None:
            return "cannot be read"
        at = said.end() + 1
        for number, code in _LINE.findall(said[0]):
            if int(number) > len(old) or old[int(number) - 1].strip() != code:
                return f"line {number} is not `{code}`"
        if said["read"]:
            number = int(said[2])
            if number > len(old):
                return f"there is no line {number}"
            texts[number - 1] = said[3].strip()
        elif said["indent"]:
            number, line = int(said[5]), old[int(said[5]) - 1]
            if len(line) - len(line.lstrip()) != int(said[8]):
                return f"line {number} is indented otherwise"
            indents[number] = int(said[7])
        elif said["insert"]:
            put_in[int(said[10] or 0)] = _QUOTED.findall(said[12])
        elif said["drop"]:
            for number, _ in _LINE.findall(said[0]):
                texts[int(number) - 1] = None
        else:
            first, last = int(said[15]), int(said[16] or said[15])
            if not 1 <= first <= last <= len(old):
                return f"there are no lines {first} to {last}"
            texts[first - 1 : last] = [None] * (last - first + 1)
            put_in[first - 1] = _QUOTED.findall(said[17])
    result: list[tuple[str, int | None]] = [(text, None) for text in put_in.get(0, [])]
    for number, text in enumerate(texts, 1):
        if text:
            result.append((text, indents.get(number)))
        result += [(text, None) for text in put_in.get(number, []) if text]
    wanted = [line for line in right.rstrip("\n").split("\n") if line.strip()]
    if [text for text, _ in result] != [line.strip() for line in wanted]:
        return "this does not give the right program"
    for (text, indent), line in zip(result, wanted, strict=True):
        if indent not in (None, len(line) - len(line.lstrip())):
            return f"`{text}` is indented otherwise in the right program"
    return None

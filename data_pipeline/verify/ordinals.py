"""Lists the ordinals: as numbers of turns, counted from 1, and as indexes of items."""

_WORDS = """
    first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
    fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth
""".split()  # noqa: SIM905
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

# Word -> number from 1; -1 for the last.
ORDINALS = {
    **{word: number for number, word in enumerate(_WORDS, 1)},
    **{
        f"{tens}-{word}": 10 * number + one
        for number, tens in enumerate(_TENS, 2)
        for one, word in enumerate(_WORDS[:9], 1)
    },
    **{f"{tens[:-1]}ieth": 10 * number for number, tens in enumerate(_TENS, 2)},
    "last": -1,
    "final": -1,
}
# Matches each of them. No ordinal begins another, so that their order is free: those from 20 on
# stand together, which spares most of a hundred alternatives at each word.
ANY_ORDINAL = (
    f"(?:{'|'.join(_WORDS)}|last|final|(?:{'|'.join(_TENS)})-(?:{'|'.join(_WORDS[:9])})|"
    f"(?:{'|'.join(tens[:-1] for tens in _TENS)})ieth)"
)
# Word -> index, for the first items and the last.
INDEXES = {word: index for index, word in enumerate(_WORDS)} | {"last": -1, "final": -1}

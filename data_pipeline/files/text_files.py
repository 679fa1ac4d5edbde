"""Reads the programs and texts that a user names: one line of error, whatever the file holds."""

import codecs
import io
import os
import stat
import tokenize
from pathlib import Path

from data_pipeline.errors import UserError
from data_pipeline.files.paths import AnyPath, as_path

_MOST = 16 << 20  # bytes; the sandbox takes programs of 4 MiB
_PIPES = ("/dev/", "/proc/")  # what a shell opens: /dev/stdin, and /dev/fd/63 of <(command)
_DECLARE = "another encoding is declared in the first line: # -*- coding: latin-1 -*-"


class NamedPipeError(UserError):
    """A file that is to be read is a named pipe."""


def read_text(path: str | os.PathLike, flag: str | None = None) -> str:
    """Reads the UTF-8 text of a file that `flag` names. Raises UserError if it cannot."""
    place = _place(path, flag)
    return _decode(_read_bytes(path, place), "utf-8", place, "not UTF-8 text")


def read_program(path: str | os.PathLike, flag: str | None = None) -> str:
    """Reads a Python file as Python does: with a byte order mark, or in the encoding it declares.

    Raises UserError if it cannot.
    """
    place = _place(path, flag)
    content = _read_bytes(path, place)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    except SyntaxError as error:
        text = str(error)
        if text.startswith("unknown encoding"):
            raise UserError(f"{place}: it declares an {text}") from None
        if content.startswith(codecs.BOM_UTF8) and text.startswith("encoding problem"):
            raise UserError(f"{place}: it declares an encoding that is not UTF-8, which its "
                            "byte order mark says") from None  # fmt: skip
        encoding = "utf-8"
    name = "UTF-8" if encoding.startswith("utf-8") else encoding
    otherwise = f"not {name} text; {_DECLARE}" if name == "UTF-8" else f"not {name} text"
    return _decode(content, encoding, place, otherwise)


def refuse_named_pipe(path: AnyPath) -> None:
    """Raises NamedPipeError for one: who opens it for reading waits until another writes."""
    if not isinstance(path, Path) or os.fspath(path).startswith(_PIPES):
        return
    try:
        is_pipe = stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return  # reading it says why
    if is_pipe:
        raise NamedPipeError(f"expected a file; it is a named pipe (name /dev/stdin: … < {path})")


def _place(path: str | os.PathLike, flag: str | None) -> str:
    return os.fspath(path) if flag is None else f"{flag}={os.fspath(path)}"


def _read_bytes(path: str | os.PathLike, place: str) -> bytes:
    path = as_path(path)
    try:
        refuse_named_pipe(path)
        with path.open("rb") as file:
            content = file.read(_MOST + 1)
    except UserError as error:
        raise UserError(f"{place}: {getattr(error, 'strerror', None) or error}") from None
    except OSError as error:
        raise UserError(f"{place}: {error.strerror or error}") from None
    if len(content) > _MOST:
        raise UserError(f"{place}: expected at most {_MOST >> 20} MiB of text; it has more")
    return content


def _decode(content: bytes, encoding: str, place: str, otherwise: str) -> str:
    try:
        text = content.decode(encoding)
    except (UnicodeError, LookupError):
        raise UserError(f"{place}: {otherwise}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")

"""Builds the error object of OpenAI's API; needs no JAX, so that `hosts` guards the demo too."""


def error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict:
    """Returns OpenAI's error object; a message is one line, however much it quotes."""
    message, param = shorten(message), param and shorten(param, 100)
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def shorten(text: str, width: int = 400) -> str:
    """Returns one line of at most `width` characters; a longer text keeps its beginning and end."""
    end = width // 4
    if len(text) > width:
        text = f"{text[: width - end - 3]} … {text[-end:]}"
    text = text.encode(errors="replace").decode()  # a lone surrogate cannot be sent
    return " ".join(text.splitlines())

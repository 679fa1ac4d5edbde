"""Builds the error object of OpenAI's API; needs no JAX, so that `hosts` guards the demo too."""


def error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict:
    """Returns OpenAI's error object."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}

"""Reads names of hosts from the command line. Standard library only."""

import argparse
import re

_NAME = re.compile(
    r"[\w-]+(?:\.[\w-]+)*\.?|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*", re.ASCII
)


def host_name(text: str) -> str:
    """Returns a name or an address, for argparse: a port or a URL would never match a request."""
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a host's name, without port or URL")
    return text

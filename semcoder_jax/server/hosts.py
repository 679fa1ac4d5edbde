"""Checks the Host header against the address that the server is bound to.

A page of another site can point its own name at this machine (DNS rebinding) and would then read
our answers as its own. Its requests carry that name in their Host header and are refused.
"""

import dataclasses
import ipaddress
import re
import socket
from collections.abc import Iterable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from semcoder_jax.server.error_body import error_body

# "name", "IPv4 address" or "[IPv6 address]", each with a port or without (RFC 9110, 7.2; RFC 3986,
# 3.2.2). All else is malformed and no browser's.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w-]+(?:\.[\w-]+)*\.?))(?::(\d{0,5}))?", re.ASCII)
_LARGEST_PORT = 65_535


@dataclasses.dataclass(frozen=True)
class HostRule:
    """Says which Host headers are accepted, whatever their port.

    Attributes:
      names: host names, in lower case.
      address: the address that the server is bound to. A loopback address accepts every loopback
        address and "localhost"; the unspecified one (0.0.0.0, ::) every address; any other itself.
    """

    names: frozenset[str]
    address: str

    @classmethod
    def of_binding(cls, address: str, names: Iterable[str] = ()) -> "HostRule":
        """Returns the rule of a server bound to `address`, which is also reached by `names`."""
        known = {name.lower().rstrip(".") for name in names if name}
        if _ip(address).is_loopback:
            known.add("localhost")
        else:
            known |= {socket.gethostname().lower(), socket.getfqdn().lower(), "localhost"}
        return cls(frozenset(known), address)

    def accepts(self, header: str) -> bool:
        """Returns whether a Host header, such as "localhost:8000" or "[::1]", is accepted."""
        host = _host_of(header)
        if host is None:
            return False
        try:
            found = _ip(host)
        except ValueError:
            return host.lower().removesuffix(".") in self.names
        bound = _ip(self.address)
        if bound.is_unspecified:
            return True
        return found.is_loopback if bound.is_loopback else found == bound or host in self.names


class RequestGuard:
    """Refuses requests with a foreign Host (421), or with two lengths of their body (400)."""

    def __init__(self, app: ASGIApp, rule: HostRule):
        self._app = app
        self._rule = rule

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        names = [name for name, _ in headers]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if b"content-length" in names and b"transfer-encoding" in names:
            return _refuse(400, "Content-Length beside Transfer-Encoding: expected one of them")
        if len(hosts) != 1:
            return _refuse(400, f"{len(hosts)} Host headers, expected one")
        if not self._rule.accepts(hosts[0]):
            message = f"Host {hosts[0][:100]!r} is not this server (--allowed_host adds it)"
            return _refuse(421, message)
        return None


def _refuse(status: int, message: str) -> JSONResponse:
    body = error_body(message, "invalid_request_error")
    return JSONResponse(body, status, {"Connection": "close"})


def _host_of(header: str) -> str | None:
    """Returns the host of "host", "host:port" or "[address]:port"; None if it is malformed."""
    found = _HOST.fullmatch(header.strip())
    if found is None or int(found[3] or 0) > _LARGEST_PORT:
        return None
    address, name, _ = found.groups()
    if address is None:
        return name
    return address if _is_ipv6(address) else None


def _is_ipv6(text: str) -> bool:
    try:
        return bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address

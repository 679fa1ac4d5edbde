"""Tests which Host headers a server accepts, by the address that it is bound to."""

import argparse
import socket

import pytest

pytest.importorskip("starlette", reason="needs the serve extra")

from semcoder_jax.server.host_names import host_name
from semcoder_jax.server.hosts import HostRule

CASES = {
    # bound to, with these names: accepted, refused
    ("127.0.0.1", ()): (
        ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.2:9", "[::1]:8000", "localhost."],
        ["evil.example", "localhost.evil.example", "192.168.0.7", "0.0.0.0", "[fe80::1]", "", "["],
    ),
    ("::1", ()): (["[::1]", "localhost:1", "127.0.0.1"], ["[2001:db8::1]", "evil.example"]),
    ("192.168.0.7", ("gpu.lan",)): (
        ["192.168.0.7:8000", "gpu.lan", "GPU.LAN:1", "[::ffff:192.168.0.7]", socket.gethostname()],
        ["192.168.0.8", "evil.example", "gpu.lan.evil.example"],
    ),
    ("0.0.0.0", ()): (["10.1.2.3:8000", "[2001:db8::1]", "localhost"], ["evil.example:8000"]),
    ("::", ("api.example",)): (["10.1.2.3", "api.example"], ["evil.example", "example"]),
}


@pytest.mark.parametrize("binding", CASES)
def test_hosts_by_binding(binding):
    address, names = binding
    rule = HostRule.of_binding(address, names)
    accepted, refused = CASES[binding]
    assert [host for host in accepted if not rule.accepts(host)] == []
    assert [host for host in refused if rule.accepts(host)] == []


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
@pytest.mark.parametrize(
    "host",
    [
        "[127.0.0.1]evil.example",
        "[127.0.0.1]",
        "[::1]evil.example",
        "[::1]:80:80",
        "[::1",
        "::1",
        "127.0.0.1:80.evil.example",
        "127.0.0.1%evil.example",
        "[::1%evil.example]",
        "localhost:port",
        "localhost:70000",
        "localhost..",
        "localhost evil.example",
        "user@localhost",
        "localhost/evil.example",
        "127.0.0.1\u00b9",
        "\u0661\u0662\u0667.0.0.1",
        "localhost,evil.example",
    ],
)
def test_malformed_hosts_are_refused(address, host):
    assert not HostRule.of_binding(address, ("localhost",)).accepts(host)


@pytest.mark.parametrize("name", ["box", "my.name", "my.name.", "10.0.0.2", "::1", "[fe80::1]"])
def test_a_flag_names_a_host(name):
    assert host_name(name) == name


@pytest.mark.parametrize("name", ["my.name:9", "ab:9", "http://x/y", "", "a b", "x/y"])
def test_a_port_or_a_url_is_no_host(name):
    with pytest.raises(argparse.ArgumentTypeError, match="without port or URL"):
        host_name(name)

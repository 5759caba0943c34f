"""Addresses, networks and patterns: what reads, and as what."""

import re

import pytest
from evenly.config.schema import BindAddress, EndpointAddress, HashKey, HostPattern, Network, PathPattern, StatusRange
from hypothesis import given
from hypothesis import strategies as st

from .writing import PATIENT

PORTS = st.integers(min_value=1, max_value=65_535)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (":8080", "0.0.0.0:8080"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("[::]:80", "[::]:80"),
        ("[2001:DB8:0::1]:443", "[2001:db8::1]:443"),
    ],
)
def test_binds(text: str, meaning: str) -> None:
    assert str(BindAddress.parse(text)) == meaning


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "8080",
        "::",
        "::1:80",
        "[::1]",
        "[::1]80",
        "1.2.3.4",
        "1.2.3:80",
        "a:80",
        ":80x",
        ":٨٠",
        "[fe80::1%1]:80",
    ],
)
def test_what_is_no_bind(text: str) -> None:
    with pytest.raises(ValueError):
        BindAddress.parse(text)


@PATIENT
@given(st.ip_addresses(), PORTS)
def test_ip_endpoints_read_back(ip: object, port: int) -> None:
    text = f"[{ip}]:{port}" if ":" in str(ip) else f"{ip}:{port}"
    address = EndpointAddress.parse(text)
    assert not address.is_name
    assert EndpointAddress.parse(str(address)) == address


@pytest.mark.parametrize("host", ["app", "app.internal", "app_1.internal", "a.b.", "xn--bcher-kva.example"])
def test_named_endpoints(host: str) -> None:
    address = EndpointAddress.parse(f"{host}:80")
    assert address.is_name
    assert str(address) == f"{host}:80"


@pytest.mark.parametrize(
    "text",
    ["", "a", ":80", "a:", "a:0", "a:65536", "http://a:80", "1.2.3.4.5:80", "1.2.3:80", "-a:80", "a..b:80", "ü:80"],
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError):
        EndpointAddress.parse(text)


def test_networks() -> None:
    assert str(Network.parse("10.0.0.0/8")) == "10.0.0.0/8"
    assert str(Network.parse("10.0.0.1")) == "10.0.0.1/32"
    assert str(Network.parse("::1")) == "::1/128"
    with pytest.raises(ValueError, match=re.escape('write "10.0.0.0/8"')):
        Network.parse("10.1.2.3/8")


def test_hosts() -> None:
    assert str(HostPattern.parse("Shop.Example.COM.")) == "shop.example.com"
    assert str(HostPattern.parse("*.Example.com")) == "*.example.com"
    assert str(HostPattern.parse("[2001:DB8::1]")) == "[2001:db8::1]"


def test_paths() -> None:
    assert PathPattern.parse("/a") == PathPattern("exact", "/a")
    assert PathPattern.parse("/a/*") == PathPattern("prefix", "/a/")
    assert PathPattern.parse("/*") == PathPattern("prefix", "/")
    for text in ("", "*", "a", "/a*b", "/**", "/a?b", "/a#b", "/ä", "/a b"):
        with pytest.raises(ValueError):
            PathPattern.parse(text)


def test_hash_keys_and_statuses_read_back() -> None:
    for text in ("client_ip", "host", "path", "uri", "header:X-User", "cookie:a", "query:a:b"):
        assert str(HashKey.parse(text)) == text
    for text in ("200", "200-399"):
        assert str(StatusRange.parse(text)) == text
    for text in ("client_ip:x", "header:", "header:a b", "", "body:x"):
        with pytest.raises(ValueError):
            HashKey.parse(text)

"""Mistakes that `tls = "auto"` brings about: each has the line and the path of what the user wrote."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from evenly.config import ConfigError, load_text
from evenly.config.certificate_files import of_issued, remarks
from evenly.config.edits import Edits, RouteEdit, edited
from evenly.config.self_signed import for_development

FILE = """\
[listeners.web]
bind = ":80"
[listeners.secure]
bind = ":443"
tls = {tls}
[acme]
terms_agreed = {agreed}
store = "acme"
[[routes]]
host = {host}
pool = "app"
[pools.app]
endpoints = ["10.0.0.1:9000"]
"""
TLS, HOST = 5, 10


def said(tls: str = '"auto"', host: str = '"a.example.com"', agreed: str = "true") -> list[tuple[int | None, str, str]]:
    """Line, path and message of each mistake."""
    with pytest.raises(ConfigError) as caught:
        load_text(FILE.format(tls=tls, host=host, agreed=agreed), "evenly.toml", Path("/"))
    return [(each.line, each.path, each.message) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("tls", "path"),
    [
        ('"auto"', "listeners.secure.tls"),
        ('{ certificates = "auto" }', "listeners.secure.tls.certificates"),
        ('{ certificates = ["auto"] }', "listeners.secure.tls.certificates[0]"),
    ],
)
def test_what_all_of_its_certificates_lack_is_said_once(tls, path) -> None:
    """Of `auto`, however many hosts there are."""
    [(line, at, message)] = said(tls, '["a.example.com", "b.example.com"]', agreed="false")
    assert (line, at) == (TLS, path)
    assert message.startswith("needs `terms_agreed = true`")


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ('"*.b.example.com"', "routes[0].host", "cannot show that a wildcard is yours (*.b.example.com)"),
        ('["a.example.com", "*.B.example.com"]', "routes[0].host[1]", "cannot show that a wildcard is yours"),
        ('["a.example.com", "localhost"]', "routes[0].host[1]", 'found "localhost"'),
    ],
)
def test_what_is_wrong_with_a_host_is_said_of_it(host, path, expected) -> None:
    [(line, at, message)] = said(host=host)
    assert (line, at) == (HOST, path)
    assert expected in message
    assert message.endswith('"auto" in `listeners.secure.tls` has one issued for it')


def test_a_host_of_a_route_that_was_edited() -> None:
    """It is not in the file, so that there is no line either."""
    written = load_text(FILE.format(tls='"auto"', host='"a.example.com"', agreed="true"), "evenly.toml", Path("/"))
    name = written.settings.routes[0].name
    edits = Edits(routes={"new": RouteEdit({"host": "*.b.example.com", "pool": "app"}, before=name)})
    with pytest.raises(ConfigError) as caught:
        edited(written, edits)
    [problem] = caught.value.problems
    assert problem.line is None
    assert "routes" in problem.path
    assert "edited" in problem.file


def test_a_certificate_that_has_expired_is_said_of_its_host() -> None:
    """Which of them it is, the listener would not tell."""
    loaded = load_text(FILE.format(tls='"auto"', host='"a.example.com"', agreed="true"), "evenly.toml", Path("/"))
    found = of_issued(for_development(("a.example.com",)))
    assert found is not None
    late = datetime.now(UTC) + timedelta(days=100_000)
    [problem] = remarks(loaded, {"a.example.com": replace(found, origin="acme")}, late)
    assert (problem.line, problem.path) == (HOST, "routes[0].host")

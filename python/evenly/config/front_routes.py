"""Routes that nobody writes, in front of those of the file: answers to issuers, then redirects to HTTPS."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .schema import HttpListener, Redirect, Respond, Route, Settings
from .schema.match import PathPattern
from .self_signed import Pem

WELL_KNOWN = "/.well-known/acme-challenge/"
"""RFC 8555, section 8.3."""

_HTTPS = 443
"""The port that a URL leaves out."""


@dataclass(frozen=True)
class Staple:
    """An issuer's word that a certificate is not revoked (OCSP)."""

    response: str
    """DER in base64."""
    until: int
    """When it expires, in unix seconds."""


Demanded = Mapping[str, Mapping[str, Pem]]
"""Certificates that were issued on demand: by the name of what they are issued for, and by host."""


@dataclass(frozen=True)
class Answers:
    """What is answered for the time being."""

    http: Mapping[str, str] = field(default_factory=dict)
    """Key authorizations by token, on every HTTP listener."""
    tls: Mapping[str, Pem] = field(default_factory=dict)
    """Certificates by host, on every listener with TLS."""
    demanded: Demanded = field(default_factory=dict)
    """What clients have asked for so far."""
    staples: Mapping[str, Staple] = field(default_factory=dict)
    """What clients are told of a certificate, by its chain: another of the same name is another."""


NO_ANSWERS = Answers()


def front_routes(settings: Settings, answers: Answers) -> Iterator[Route]:
    """They have names that no route of a file can have: ":" is not allowed in these."""
    yield from _answers(answers)
    for name, listener in settings.listeners.items():
        if isinstance(listener, HttpListener) and listener.redirect_https is not None:
            to = listener.redirect_https
            port = "" if to.port == _HTTPS else f":{to.port}"
            redirect = Redirect(to=f"https://{{host}}{port}{{uri}}", status=to.status)
            route = Route(name="redirect", listeners=[name], redirect=redirect)
            yield route.model_copy(update={"name": f"redirect_https:{name}"})


def _answers(answers: Answers) -> Iterator[Route]:
    """First of all, so that no redirect and no access rule stands in their way."""
    for number, (token, answer) in enumerate(sorted(answers.http.items()), start=1):
        respond = Respond(body=answer, content_type="application/octet-stream")
        route = Route(name="acme", path=PathPattern("exact", WELL_KNOWN + token), respond=respond)
        yield route.model_copy(update={"name": f"acme:{number}"})

"""The parts of the document that say how TLS is terminated; see `document.py`."""

from __future__ import annotations

from typing import Any

from .at import At
from .authority_files import Clients
from .front_routes import Answers
from .resolve import Resolved
from .schema import HttpListener, HttpTls, StreamTls, TcpListener


def certificates(resolved: Resolved, answers: Answers) -> list[At]:
    """What listeners show."""
    demanded = [
        At((name,), {"name": f"{name}/{host}", "chain": each.chain, "key": each.key, "names": [host]})
        for name, by_host in answers.demanded.items()
        if name in resolved.certificates
        for host, each in by_host.items()
    ]
    written = [
        At(
            (name,),
            {
                "name": At((), name),
                "chain": At(("cert",), each.chain),
                "key": At(("key",), each.key),
                "names": At(("cert",), each.hosts),
            },
        )
        for name, each in resolved.certificates.items()
    ]
    return [*written, *demanded]


def challenges(answers: Answers) -> list[dict[str, Any]]:
    """What issuers ask over TLS, and how that is answered."""
    return [{"host": host, "chain": each.chain, "key": each.key} for host, each in sorted(answers.tls.items())]


def staples(resolved: Resolved, answers: Answers) -> list[dict[str, Any]]:
    """What issuers say of certificates being revoked."""
    written = [(name, name, each.chain) for name, each in resolved.certificates.items()]
    demanded = [
        (name, f"{name}/{host}", each.chain)
        for name, by_host in answers.demanded.items()
        if name in resolved.certificates
        for host, each in by_host.items()
    ]
    return [
        {"certificate": named, "response": staple.response, "until": staple.until}
        for name, named, chain in (*written, *demanded)
        if resolved.settings.certificates[name].ocsp_stapling and (staple := answers.staples.get(chain)) is not None
    ]


def session_tickets(resolved: Resolved) -> dict[str, Any]:
    """What tickets are sealed with."""
    secrets = resolved.ticket_secrets
    return {
        "secret": At(("secret_file",), secrets.current),
        "previous_secret": At(("previous_secret_file",), secrets.previous),
    }


def termination(
    name: str, listener: HttpListener | TcpListener, resolved: Resolved, answers: Answers
) -> dict[str, Any] | None:
    """How a listener terminates it, if it does."""
    tls = listener.tls
    if tls is None:
        return None
    rate = tls.max_handshakes_per_client
    return {
        "certificates": [
            *tls.certificates,
            *(f"{each}/{host}" for each in tls.certificates for host in answers.demanded.get(each, ())),
        ],
        "policy": tls.policy,
        "min_version": tls.min_version,
        "strict_sni": tls.strict_sni,
        "alpn": tls.alpn if isinstance(tls, StreamTls) else At((), _http_versions(listener)),
        "hsts": str(tls.hsts) if isinstance(tls, HttpTls) and tls.hsts is not None else None,
        "session_tickets": tls.session_tickets,
        "handshake_ms": At(("handshake_timeout",), tls.handshake_timeout.milliseconds),
        "handshake_rate": At(
            ("max_handshakes_per_client",), rate and {"count": rate.count, "period_ms": rate.period_ms}
        ),
        "client_auth": At((), _client_auth(tls, resolved.authorities.clients.get(name))),
        "on_demand": At((), _on_demand(tls, resolved)),
        "ja4": At((), _goes_by_ja4(name, resolved)),
    }


def _on_demand(tls: HttpTls | StreamTls, resolved: Resolved) -> list[str]:
    options = (resolved.settings.certificates[name].acme for name in tls.certificates)
    on_demand = (acme.on_demand for acme in options if acme is not None and acme.on_demand is not None)
    return [host for each in on_demand for host in each.hosts]


def _client_auth(tls: HttpTls | StreamTls, clients: Clients | None) -> dict[str, Any] | None:
    if clients is None:
        return None
    return {
        "ca": At(("client_ca",), clients.authorities),
        "required": At(("client_auth",), tls.client_auth != "optional"),
        "crl": At(("crl",), clients.revoked),
        "forward_whole": At(
            ("forward_client_certificate",), isinstance(tls, HttpTls) and tls.forward_client_certificate
        ),
    }


def _goes_by_ja4(name: str, resolved: Resolved) -> bool:
    """Whether anybody looks at fingerprints: making one costs two hashes of every handshake."""
    settings = resolved.settings
    in_log = settings.access_log is not None and settings.access_log.ja4
    return in_log or any(
        route.ja4 is not None and (route.listeners is None or name in route.listeners) for route in settings.routes
    )


def _http_versions(listener: HttpListener | TcpListener) -> list[str]:
    return ["h2", "http/1.1"] if isinstance(listener, HttpListener) and listener.http2 else ["http/1.1"]

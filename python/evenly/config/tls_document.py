"""The parts of the document that say how TLS is terminated; see `document.py`."""

from __future__ import annotations

from typing import Any

from .at import At
from .resolve import Resolved
from .schema import HttpListener, HttpTls, StreamTls, TcpListener


def certificates(resolved: Resolved) -> list[At]:
    """What listeners show."""
    return [
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


def session_tickets(resolved: Resolved) -> dict[str, Any]:
    """What tickets are sealed with."""
    secrets = resolved.ticket_secrets
    return {
        "secret": At(("secret_file",), secrets.current),
        "previous_secret": At(("previous_secret_file",), secrets.previous),
    }


def termination(listener: HttpListener | TcpListener) -> dict[str, Any] | None:
    """How a listener terminates it, if it does."""
    tls = listener.tls
    if tls is None:
        return None
    rate = tls.max_handshakes_per_client
    return {
        "certificates": tls.certificates,
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
    }


def _http_versions(listener: HttpListener | TcpListener) -> list[str]:
    return ["h2", "http/1.1"] if isinstance(listener, HttpListener) and listener.http2 else ["http/1.1"]

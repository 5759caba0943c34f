"""An endpoint under TLS that the test plays, and that chooses between HTTP/2 and HTTP/1.1 whenever it is asked."""

import ssl
from typing import Any

from .authority import TlsPeer
from .endpoint import Endpoint
from .http2_endpoint import Http2Peer


class ChoosingEndpoint(Endpoint):
    """Takes of what is offered the first that is among `choice`."""

    def __init__(self, context: ssl.SSLContext, *choice: str) -> None:
        super().__init__()
        self.context = context
        self.choose(*choice)

    def choose(self, *choice: str) -> None:
        """For connections that are made from now on."""
        self.context.set_alpn_protocols(choice)

    def session(self) -> ssl.SSLSocket:
        """The next connection, as it was agreed on."""
        plain = super().accept()
        return self.context.wrap_socket(plain.socket, server_side=True, suppress_ragged_eofs=False)

    def accept(self) -> TlsPeer:
        """The next connection, on which HTTP/1.1 was chosen."""
        peer = TlsPeer(self.session())
        assert peer.session.selected_alpn_protocol() == "http/1.1"
        self.accepted.append(peer)
        return peer

    def accept_http2(self, **options: Any) -> Http2Peer:
        """The next connection, on which HTTP/2 was chosen."""
        session = self.session()
        assert session.selected_alpn_protocol() == "h2"
        peer = Http2Peer(session, **options)
        self.accepted.append(TlsPeer(session))
        return peer

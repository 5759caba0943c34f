"""An endpoint under TLS that the test plays itself."""

import ssl

from .authority import TlsPeer
from .endpoint import Endpoint


class TlsEndpoint(Endpoint):
    """Agrees on a session with whoever connects, as `context` has it."""

    def __init__(self, context: ssl.SSLContext, ip: str = "127.0.0.1") -> None:
        super().__init__(ip)
        self.context = context
        self.asked: list[str | None] = []
        """The names that it was asked for (SNI), in order."""
        context.sni_callback = lambda _, name, __: self.asked.append(name)

    def accept(self, header: bytes = b"") -> TlsPeer:
        """The next connection, which begins with `header` in clear."""
        plain = super().accept()
        if header:
            assert plain.read_exactly(len(header)) == header
            assert not plain.pending
        peer = TlsPeer(self.context.wrap_socket(plain.socket, server_side=True, suppress_ragged_eofs=False))
        self.accepted.append(peer)
        return peer

    def refuse(self) -> None:
        """Accepts, and finds the client wanting."""
        try:
            peer = self.accept()
            # Under TLS 1.3 the client learns it behind the handshake.
            peer.receive()
        except (ssl.SSLError, ConnectionError):
            return
        raise AssertionError("the handshake went well")

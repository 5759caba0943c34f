"""A responder for OCSP whose answers the test decides on: right ones, and wrong ones of many kinds."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from .authority import Authority, signed

DAY = timedelta(days=1)
MUST_STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])


def names_responder(url: str) -> x509.AuthorityInformationAccess:
    """What a certificate says of whom to ask about it."""
    location = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, location)])


class Answers:
    """Makes answers in the name of an authority."""

    def __init__(self, authority: Authority) -> None:
        self.issuer, self.key = authority.signer()
        self._own_key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
        self._delegated = signed("Test Responder", self._own_key, "Test CA", self.key, more=[usage])
        self._stranger = signed("Test Responder", self._own_key, "Test CA", self._own_key, more=[usage])
        self._server = signed("Test Server", self._own_key, "Test CA", self.key)

    def make(self, kind: str, question: bytes, *, life: timedelta = 4 * DAY, now: datetime | None = None) -> bytes:
        """The answer to a question: "good", "revoked" …"""
        asked = ocsp.load_der_ocsp_request(question)
        if kind == "trylater":
            return ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(
                Encoding.DER
            )
        now = datetime.now(UTC) if now is None else now
        begins, ends = (now - 2 * life, now - life) if kind == "expired" else (now, now + life)
        if kind == "early":
            begins, ends = now + DAY, now + 2 * DAY
        status = {"revoked": ocsp.OCSPCertStatus.REVOKED, "unknown": ocsp.OCSPCertStatus.UNKNOWN}.get(
            kind, ocsp.OCSPCertStatus.GOOD
        )
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            asked.issuer_name_hash,
            asked.issuer_key_hash,
            asked.serial_number + (kind == "other"),
            asked.hash_algorithm,
            status,
            begins,
            None if kind == "endless" else ends,
            now if kind == "revoked" else None,
            None,
        )
        signer, key = {
            "delegated": (self._delegated, self._own_key),
            "not-a-responder": (self._server, self._own_key),
            "stranger": (self._stranger, self._own_key),
        }.get(kind, (self.issuer, self.key))
        if signer is not self.issuer:
            builder = builder.certificates([signer])
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer)
        made = builder.sign(key, SHA256()).public_bytes(Encoding.DER)
        # The signature is what stands last.
        return made[:-1] + bytes([made[-1] ^ 1]) if kind == "forged" else made


class Responder:
    """Serves them: the path of the URL is the kind of answer. `asked` has the paths of all questions."""

    def __init__(self, answers: Answers, life: timedelta = 4 * DAY) -> None:
        self.life = life
        self.asked: list[str] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(answers))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, kind: str) -> str:
        """Where to ask for such an answer."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{kind}"

    def close(self) -> None:
        """Answers nothing more."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self, answers: Answers) -> type[BaseHTTPRequestHandler]:
        responder = self
        plain: dict[str, Callable[[], bytes]] = {"garbage": lambda: b"no DER", "huge": lambda: bytes(1 << 20)}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                kind = self.path.strip("/")
                responder.asked.append(kind)
                question = self.rfile.read(int(self.headers["Content-Length"]))
                if kind == "silent":
                    responder.released.wait()
                    return
                body = plain[kind]() if kind in plain else answers.make(kind, question, life=responder.life)
                self.send_response(500 if kind == "broken" else 302 if kind == "elsewhere" else 200)
                if kind == "elsewhere":
                    self.send_header("Location", responder.url("good"))
                self.send_header("Content-Type", "application/ocsp-response")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        return Handler

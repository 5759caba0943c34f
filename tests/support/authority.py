"""A certificate authority for tests, and TLS clients that trust it alone."""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from .wire import Peer

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Files:
    """Where a certificate and its key lie."""

    cert: Path
    key: Path

    def table(self, name: str) -> str:
        """As it stands in a configuration."""
        return f'[certificates.{name}]\ncert = "{self.cert}"\nkey = "{self.key}"\n'


class Authority:
    """A root and an intermediate, and a directory for what they issue."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.root = signed("Test Root", self._root_key, "Test Root", self._root_key, is_authority=True)
        self.intermediate = signed("Test CA", self._key, "Test Root", self._root_key, is_authority=True)
        self.bundle = directory / "root.pem"
        self.bundle.write_bytes(self.root.public_bytes(Encoding.PEM))

    def issue(
        self,
        *names: str,
        key: Literal["ecdsa", "rsa"] = "ecdsa",
        days: float = 90,
        begins: float = -400,
        file: str | None = None,
        order: Sequence[int] = (0, 1),
        more: Sequence[x509.ExtensionType] = (),
    ) -> Files:
        """Writes a certificate for these names with its chain, and its key, valid from `begins` to `days` from now.

        `order` is that of the chain, for mistakes.
        """
        private = _key(key)
        now = datetime.now(UTC)
        times = {"begins": now + begins * DAY, "expires": now + days * DAY}
        own = signed(names[0], private, "Test CA", self._key, names=names, more=more, **times)
        stem = file or f"{names[0].replace('*', 'any')}-{key}"
        files = Files(self.directory / f"{stem}.pem", self.directory / f"{stem}.key")
        chain = [own, self.intermediate]
        _replace(files.key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        _replace(files.cert, b"".join(chain[index].public_bytes(Encoding.PEM) for index in order))
        return files

    def signer(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """What it issues with."""
        return self.intermediate, self._key

    def revoke(self, *files: Files, file: str = "clients.crl.pem", ended: bool = False) -> Path:
        """Writes the list of those that are revoked; one that should have been replaced yesterday if it is `ended`."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder(
            _name("Test CA"), now - 2 * DAY, now + (-1 if ended else 30) * DAY
        ).add_extension(x509.CRLNumber(1), critical=False)  # fmt: skip
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        for each in files:
            serial = x509.load_pem_x509_certificate(each.cert.read_bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - DAY).build()
            builder = builder.add_revoked_certificate(revoked)
        path = self.directory / file
        _replace(path, builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return path

    def context(
        self, *, alpn: Sequence[str] = (), only_rsa: bool = False, shown: Files | None = None
    ) -> ssl.SSLContext:
        """A client that trusts this authority alone, and perhaps shows a certificate of its own."""
        context = ssl.create_default_context(cafile=str(self.bundle))
        if shown is not None:
            context.load_cert_chain(shown.cert, shown.key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if only_rsa:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
        return context

    def server(
        self, files: Files, *, alpn: Sequence[str] = (), clients: bool = False, only: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        """A server that shows a certificate, and takes only clients that show one of this authority if `clients`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        context.set_alpn_protocols(list(alpn))
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.bundle)
        if only is not None:
            context.minimum_version = context.maximum_version = only
        return context

    def connect(self, port: Any, name: str | None = "shop.test", **options: Any) -> "TlsPeer":
        """A client that asks for a name, and has verified that it gets it."""
        session = options.pop("session", None)
        context = options.pop("context", None) or self.context(**options)
        context.check_hostname = name is not None
        plain = Peer.connect(port if isinstance(port, tuple) else port.address)
        return TlsPeer(
            context.wrap_socket(plain.socket, server_hostname=name, session=session, suppress_ragged_eofs=False)
        )


class TlsPeer(Peer):
    """One end of a connection under TLS."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self.session = sock

    def break_off(self) -> None:
        """Closes the socket without a word of TLS."""
        os.close(self.session.detach())

    @property
    def shown(self) -> set[str]:
        """The names in the certificate that the other side has shown."""
        certificate = self.session.getpeercert() or {}
        return {str(value) for _, value in certificate.get("subjectAltName", ())}


def _key(kind: str) -> Any:
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def signed(
    subject: str,
    key: Any,
    issuer: str,
    issuer_key: Any,
    *,
    names: Sequence[str] = (),
    begins: datetime | None = None,
    expires: datetime | None = None,
    is_authority: bool = False,
    more: Sequence[x509.ExtensionType] = (),
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        _name(issuer), _name(subject), key.public_key(), x509.random_serial_number(), begins or now - 400 * DAY,
        expires or now + 3650 * DAY,
    ).add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)  # fmt: skip
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    if is_authority:
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage, critical=True)
    if names:
        listed = x509.SubjectAlternativeName([_general(name) for name in names])
        builder = builder.add_extension(listed, critical=False)
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _replace(path: Path, content: bytes) -> None:
    """As tools for certificates do it: a new file in the place of the old one."""
    beside = path.with_suffix(path.suffix + ".new")
    beside.touch(mode=0o600)
    beside.write_bytes(content)
    beside.rename(path)

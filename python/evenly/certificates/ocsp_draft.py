import os
os.chdir('/work/wt/tlsup/python/evenly')
def sub(path, *pairs):
    s=open(path).read()
    for a,b in pairs:
        assert a in s, (path,a)
        s=s.replace(a,b,1)
    open(path,'w').write(s)
open('certificates/ocsp.py','w').write('''"""What an issuer says of a certificate being revoked (OCSP, RFC 6960), for clients that want to know. Pure.

It is asked for in advance and handed over in the handshake ("stapled", RFC 6066, section 8), so that clients need not ask
the issuer, who would learn where they go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

SKEW = timedelta(minutes=5)
"""By which an issuer's clock may be ahead of ours."""

SOONEST, LATEST = timedelta(minutes=1), timedelta(days=1)
"""Between two questions about one certificate, when all goes well."""


class OcspError(Exception):
    """There is no answer that could be shown; the text says why."""


@dataclass(frozen=True)
class Subject:
    """A certificate that is asked about."""

    leaf: x509.Certificate
    issuer: x509.Certificate
    url: str


@dataclass(frozen=True)
class Staple:
    """An answer that is good."""

    raw: bytes
    """As DER."""
    begins: datetime
    ends: datetime
    """When the issuer will have said something newer; no client believes it later."""

    def ask_again(self, now: datetime) -> datetime:
        """When to ask again: half way, so that there is as long again to try in."""
        return now + min(max((self.ends - now) / 2, SOONEST), LATEST)


def subject_of(chain: str) -> Subject | None:
    """Who is to be asked about a chain's certificate; `None` where it does not say, or its issuer is not in the chain."""
    certificates = x509.load_pem_x509_certificates(chain.encode())
    try:
        access = certificates[0].extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    urls = [
        each.access_location.value
        for each in access
        if each.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    ]
    if not urls or len(certificates) < 2 or not urls[0].startswith(("http://", "https://")):
        return None
    return Subject(certificates[0], certificates[1], urls[0])


def question(subject: Subject) -> bytes:
    """As DER. SHA-1 is what every responder knows certificates by (RFC 5019, section 2.1.1); nothing rests on it."""
    return ocsp.OCSPRequestBuilder().add_certificate(subject.leaf, subject.issuer, SHA1()).build().public_bytes(  # noqa: S303
        Encoding.DER
    )


def judge(raw: bytes, subject: Subject, now: datetime) -> Staple:
    """A responder's answer, if clients will believe it. Raises `OcspError`."""
    try:
        answer = ocsp.load_der_ocsp_response(raw)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise OcspError(f"the responder answers {answer.response_status.name.lower().replace('_', ' ')}")
        single = next((each for each in answer.responses if each.serial_number == subject.leaf.serial_number), None)
        if single is None:
            raise OcspError("the answer is about another certificate")
        _verify(answer, subject, now)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise OcspError(f"the answer cannot be read: {error}") from error
    if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise OcspError(f"the issuer says that the certificate is {single.certificate_status.name.lower()}")
    begins, ends = single.this_update_utc, single.next_update_utc
    if ends is None:
        raise OcspError("the answer does not say for how long it is good")
    if begins > now + SKEW or ends <= now:
        raise OcspError(f"the answer is good from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC, and not now")
    return Staple(raw, begins, ends)


def _verify(answer: ocsp.OCSPResponse, subject: Subject, now: datetime) -> None:
    """Signed by the issuer, or by whom it has made its responder (section 4.2.2.2)."""
    for signer in (subject.issuer, *answer.certificates):
        if signer is subject.issuer or _is_responder(signer, subject.issuer, now):
            try:
                _check_signature(answer, signer.public_key())
            except InvalidSignature:
                continue
            return
    raise OcspError("the answer is not signed by the issuer, nor by a responder of its own")


def _is_responder(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    is_valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    return is_valid and ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _check_signature(answer: ocsp.OCSPResponse, key: object) -> None:
    """Raises `InvalidSignature`."""
    signed, text, algorithm = answer.signature, answer.tbs_response_bytes, answer.signature_hash_algorithm
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signed, text)
    elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
        key.verify(signed, text, ec.ECDSA(algorithm))
    elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
        key.verify(signed, text, padding.PKCS1v15(), algorithm)
    else:
        raise InvalidSignature
''')
open('control/stapler.py','w').write('''"""Has issuers asked whether the certificates that are shown are revoked, and their answers stapled to handshakes.

Whatever fails, the last good answer stays until its time is over, and clients are shown the certificate all the same.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import structlog

from evenly.certificates.clock import Clock, SystemClock
from evenly.certificates.directory import DirectoryStore
from evenly.certificates.ocsp import OcspError, Staple, Subject, judge, question, subject_of
from evenly.certificates.store import StoreError
from evenly.config import Resolved
from evenly.control.status import StapleStatus

SECONDS = 10.0
"""For one answer; responders answer within a fraction of one, or not at all."""

LARGEST_ANSWER = 64 << 10
"""Bytes. One with a certificate of the responder's takes two thousand."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
"""After a failure, and after several in a row."""

LOOK = 3600.0
"""Seconds between two looks at the clock at most: it may be set, or the machine have slept."""

log = structlog.get_logger("evenly")


@dataclass
class Standing:
    """How it is going with one certificate."""

    subject: Subject
    staple: Staple | None = None
    error: str = ""
    failures: int = 0
    """In a row."""
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Stapler:
    """`publish` has these answers stapled from now on: base64 by chain."""

    def __init__(self, publish: Callable[[Mapping[str, str]], Awaitable[None]], clock: Clock | None = None) -> None:
        self._publish = publish
        self._clock = clock or SystemClock()
        self._standings: dict[str, Standing] = {}
        """By chain."""
        self._names: dict[str, str] = {}
        self._store: DirectoryStore | None = None

    def follow(self, resolved: Resolved) -> None:
        """Asks about the certificates of this configuration, and no others."""
        self._store = None if resolved.state_directory is None else DirectoryStore(resolved.state_directory / "ocsp")
        self._names = {
            name: each.chain
            for name, each in resolved.certificates.items()
            if each.origin in {"files", "acme"} and resolved.settings.certificates[name].ocsp_stapling
        }
        before, self._standings = self._standings, {}
        for name, chain in self._names.items():
            if chain in before:
                self._standings[chain] = before.pop(chain)
            elif chain not in self._standings and (subject := subject_of(chain)) is not None:
                standing = self._standings[chain] = Standing(subject)
                standing.task = asyncio.create_task(self._keep(name, standing))
        for left in before.values():
            if left.task is not None:
                left.task.cancel()

    def status(self, name: str) -> StapleStatus | None:
        """How it is going with a certificate; `None` if its issuer answers no such questions."""
        standing = self._standings.get(self._names.get(name, ""))
        if standing is None:
            return None
        ends = None if standing.staple is None else standing.staple.ends.timestamp()
        return StapleStatus(until=ends, error=standing.error, failures=standing.failures)

    async def close(self) -> None:
        """Asks no more."""
        tasks = [each.task for each in self._standings.values() if each.task is not None]
        self._standings = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, name: str, standing: Standing) -> None:
        await self._load(name, standing)
        while True:
            now = self._clock.now()
            if standing.staple is not None and standing.staple.ends <= now:
                standing.staple = None
                await self._show()
            if standing.staple is None or standing.failures or standing.staple.ask_again(now) <= now + timedelta(seconds=1):
                await self._ask(name, standing)
            await self._sleep(standing)

    async def _sleep(self, standing: Standing) -> None:
        now, staple = self._clock.now(), standing.staple
        if standing.failures or staple is None:
            pause = min(FIRST_PAUSE * 2 ** min(standing.failures - 1, 10), LONGEST_PAUSE)
            due = now + pause * (0.75 + random.random() / 2)  # noqa: S311 - to spread, not to hide
        else:
            due = staple.ask_again(now)
        if staple is not None:
            due = min(due, staple.ends)
        while (left := (due - self._clock.now()).total_seconds()) > 0:
            await self._clock.wait(asyncio.Event(), min(left, LOOK))

    async def _ask(self, name: str, standing: Standing) -> None:
        try:
            raw = await fetch(standing.subject)
            staple = judge(raw, standing.subject, self._clock.now())
        except OcspError as error:
            standing.failures += 1
            standing.error = str(error)
            stays = "no answer is stapled" if standing.staple is None else "the last answer stays until its end"
            log.warning("revocation status unknown", certificate=name, problem=str(error), result=stays)
            return
        standing.staple, standing.error, standing.failures = staple, "", 0
        if self._store is not None:
            try:
                await asyncio.to_thread(self._store.write, name, base64.b64encode(raw).decode())
            except StoreError as error:
                log.warning("revocation status not kept", certificate=name, problem=str(error))
        await self._show()

    async def _load(self, name: str, standing: Standing) -> None:
        """What an earlier process has learned, if it is about this certificate and still good."""
        if self._store is None:
            return
        with suppress(StoreError, OcspError, ValueError):
            text = await asyncio.to_thread(self._store.read, name)
            if text is not None:
                standing.staple = judge(base64.b64decode(text), standing.subject, self._clock.now())
                await self._show()

    async def _show(self) -> None:
        good = {chain: each.staple for chain, each in self._standings.items() if each.staple is not None}
        await self._publish({chain: base64.b64encode(staple.raw).decode() for chain, staple in good.items()})


async def fetch(subject: Subject) -> bytes:
    """Asks the responder. Raises `OcspError`."""
    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    body = bytearray()
    try:
        async with (
            asyncio.timeout(SECONDS),
            httpx.AsyncClient(timeout=SECONDS, trust_env=True) as client,
            client.stream("POST", subject.url, content=question(subject), headers=headers) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise OcspError(f"{subject.url} answers {answer.status_code}")
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > LARGEST_ANSWER:
                    raise OcspError(f"{subject.url} answers more than {LARGEST_ANSWER >> 10} KiB")
    except TimeoutError as error:
        raise OcspError(f"{subject.url} gives no answer within {SECONDS:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise OcspError(f"{subject.url} cannot be asked: {error or type(error).__name__}") from error
    return bytes(body)
''')
sub('config/schema/tls.py',('''    @model_validator(mode="after")
    def _check_kind(self)''','''    ocsp_stapling: bool = Field(
        default=True,
        description="Whether its issuer is asked, in the background, if it is revoked, and the answer handed to clients "
        "in the handshake; only where the certificate says whom to ask (OCSP). An answer that fails to come changes "
        "nothing for clients until the last one has expired, and then they are handed none.",
    )

    @model_validator(mode="after")
    def _check_kind(self)'''))
sub('config/front_routes.py',('''    """Certificates by host, for issuers that ask over TLS."""
''','''    """Certificates by host, for issuers that ask over TLS."""
    staples: Mapping[str, str] = field(default_factory=dict)
    """What clients are told of certificates being revoked: base64 by chain."""
'''))
sub('config/tls_document.py',
("                \"ocsp\": At((), resolved.stapled.get(name)),","                \"ocsp\": At((), answers.staples.get(each.chain)),"),
("def certificates(resolved: Resolved) -> list[At]:","def certificates(resolved: Resolved, answers: Answers) -> list[At]:"),
)
sub('config/document.py',
('''        kept = {name: part for name, part in self._parts.items() if name not in {"routes", "challenges"}}
        changed = {"routes": _routes(resolved, answers), "challenges": securing.challenges(answers)}
''','''        changed = {
            "routes": _routes(resolved, answers),
            "certificates": securing.certificates(resolved, answers),
            "challenges": securing.challenges(answers),
        }
        kept = {name: part for name, part in self._parts.items() if name not in changed}
'''),
("securing.certificates(resolved),","securing.certificates(resolved, answers),"),
)
sub('control/shown.py',
('''        await self._alter(lambda running: running.with_answers(answers))
''','''        await self._alter(lambda running: running.with_answers(replace(answers, staples=running.answers.staples)))

    async def _staple(self, staples: Mapping[str, str]) -> None:
        try:
            await self._alter(lambda running: running.with_answers(replace(running.answers, staples=staples)))
        except (ConfigError, OSError) as error:
            log.error("revocation status not stapled", problem=str(error))  # noqa: TRY400
'''),
('''        self._keepers = Keepers(self._publish_answers, self._install_issued)
''','''        self._keepers = Keepers(self._publish_answers, self._install_issued)
        self._stapler = Stapler(self._staple)
'''),
("        return statuses(self._running(), self._problem, right_now(), self._keepers.status)","        return statuses(self._running(), self._problem, right_now(), (self._keepers.status, self._stapler.status))"),
('''        self._keepers.follow(configuration.resolved.loaded)
''','''        self._keepers.follow(configuration.resolved.loaded)
        self._stapler.follow(configuration.resolved)
'''),
('''        await self._keepers.close()
''','''        await self._keepers.close()
        await self._stapler.close()
'''),
('''            self._problem = ""
            log.info("certificates replaced", generation=changes.generation)

    def _status''','''            self._problem = ""
            self._stapler.follow(self._running().resolved)
            log.info("certificates replaced", generation=changes.generation)

    def _status'''),
("        if changes is not None:\n            log.info(\"certificates replaced\", generation=changes.generation)\n","        if changes is not None:\n            self._stapler.follow(self._running().resolved)\n            log.info(\"certificates replaced\", generation=changes.generation)\n"),
("from collections.abc import Awaitable, Callable\n","from collections.abc import Awaitable, Callable, Mapping\nfrom dataclasses import replace\n"),
("from evenly.control.status import CertificateStatus, Changes","from evenly.control.stapler import Stapler\nfrom evenly.control.status import CertificateStatus, Changes"),
)
sub('control/certificates.py',
('''    configuration: Configuration, problem: str, now: datetime, renewal: Callable[[str], RenewalStatus | None]
) -> list[CertificateStatus]:''','''    configuration: Configuration,
    problem: str,
    now: datetime,
    told: tuple[Callable[[str], RenewalStatus | None], Callable[[str], StapleStatus | None]],
) -> list[CertificateStatus]:'''),
('''    settings = configuration.resolved.settings
    return [''','''    settings, (renewal, staple) = configuration.resolved.settings, told
    return ['''),
("            renewal=renewal(name),","            renewal=renewal(name),\n            staple=staple(name),"),
("from evenly.control.status import CertificateStatus, RenewalStatus","from evenly.control.status import CertificateStatus, RenewalStatus, StapleStatus"),
)
sub('control/status.py',
('''    renewal: RenewalStatus | None = Field(None, description="How it is renewed, if that happens over ACME.")
''','''    renewal: RenewalStatus | None = Field(None, description="How it is renewed, if that happens over ACME.")
    staple: StapleStatus | None = Field(None, description="Whether clients are told that it is not revoked (OCSP).")
'''),
('''class CertificateStatus(Report):''','''class StapleStatus(Report):
    """What a certificate's issuer says of it being revoked (OCSP)."""

    until: float | None = Field(description="Until when its answer is good, in unix seconds; unset: there is none.")
    error: str = Field(description="Why the last question got no good answer; empty if it did.")
    failures: int = Field(description="Questions in a row that got none.")


class CertificateStatus(Report):'''),
)
sub('control/exposition.py',('''    yield (
        "evenly_certificate_replacement_failed",''','''    staples = [(each.name, each.staple) for each in certificates if each.staple is not None]
    yield (
        "evenly_certificate_ocsp_expiry_timestamp_seconds",
        "gauge",
        "Until when the issuer's word that a certificate is not revoked is good, in unix seconds; 0 without one.",
        [({"certificate": name}, staple.until or 0) for name, staple in staples],
    )
    yield (
        "evenly_certificate_ocsp_failures",
        "gauge",
        "Questions to the issuer in a row that got no good answer (OCSP); 0 if the last did.",
        [({"certificate": name}, staple.failures) for name, staple in staples],
    )
    yield (
        "evenly_certificate_replacement_failed",'''))

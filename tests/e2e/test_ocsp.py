"""OCSP stapling: an issuer's word that its certificate is not revoked, asked for in advance and shown in handshakes."""

import json
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import aioquic.tls
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from evenly.certificates import records
from evenly.certificates.directory import DirectoryStore
from evenly.certificates.records import Issued

from ..support.balancer import Lines, run_verb
from ..support.http3 import Http3Client
from ..support.ocsp import MUST_STAPLE, Answers, Responder, names_responder
from ..support.pebble import free_port
from ..support.programs import program
from ..support.wire import DEADLINE

NONE = "no response sent"
GOOD = "Cert Status: good"

PROBLEMS = {
    "unknown": "the issuer does not know the certificate",
    "expired": "and not now",
    "early": "and not now",
    "endless": "does not say for how long it is good",
    "other": "about another certificate",
    "forged": "not signed by the issuer",
    "stranger": "not signed by the issuer",
    "not-a-responder": "not signed by the issuer",
    "trylater": "the responder answers try later",
    "garbage": "cannot be read",
    "huge": "answers more than 16 KiB",
    "broken": "answers 500",
    "elsewhere": "answers 302",
    "silent": "gives no answer within 10 s",
}
"""What goes wrong, and what is said of it."""


@pytest.fixture
def responder(authority) -> Iterator[Responder]:
    served = Responder(Answers(authority))
    yield served
    served.close()


def stapled(address: tuple[str, int], name: str, *options: str) -> str:
    """What `openssl s_client -status` says of the answer that it is shown."""
    target = f"{address[0]}:{address[1]}"
    done = subprocess.run(
        [program("openssl"), "s_client", "-connect", target, "-servername", name, "-status", *options],
        input="", capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert "BEGIN CERTIFICATE" in done.stdout, done.stderr
    text = done.stdout
    return NONE if f"OCSP response: {NONE}" in text else text[text.index("OCSP Response Data") :]


def text(tables: str, names: list[str], secure: Any, endpoint: Any, more: str = "", listener: str = "") -> str:
    """A configuration whose listener shows these certificates."""
    listed = ", ".join(f'"{name}"' for name in names)
    tls = f'tls = {{ certificates = [{listed}], policy = "intermediate" }}'
    return (
        f"workers = 1\n{more}{tables}"
        f'[listeners.secure]\nbind = "{secure}"\n{listener}{tls}\n'
        f'[pools.app]\nendpoints = ["{endpoint}"]\n[[routes]]\npool = "app"\n'
    )


def certificate(balancer, name: str) -> dict[str, Any]:
    """What the admin API tells of its answers."""
    found = balancer.admin.get("/api/certificates").json()
    return next(each for each in found if each["name"] == name)["ocsp"]


def test_good_answers_are_stapled_and_bad_ones_change_nothing(run, port, servers, authority, responder) -> None:
    """With every kind of answer, clients are served; only what they would believe is shown to them."""
    kinds = ["good", "delegated", "revoked", *PROBLEMS]
    dead = f"http://127.0.0.1:{free_port()}/"
    urls = {kind: responder.url(kind) for kind in kinds} | {"dead": dead, "secure": "https://127.0.0.1/"}
    tables = "".join(
        authority.issue(f"{kind}.test", more=[names_responder(url)]).table(kind) for kind, url in urls.items()
    )
    tables += authority.issue("silence.test").table("silence")
    secure = port()
    balancer = run(text(tables, [*urls, "silence"], secure, servers("a")[0]))
    for kind in ("good", "delegated"):
        balancer.until(lambda kind=kind: certificate(balancer, kind)["state"] == "good")
        for version in ("-tls1_2", "-tls1_3"):
            balancer.until(lambda kind=kind, v=version: GOOD in stapled(secure.address, f"{kind}.test", v))
    problems = PROBLEMS | {"dead": "cannot be asked", "secure": "not asked over http"}
    for kind, problem in problems.items():
        said = balancer.wait_log("revocation status unknown", deadline=20, certificate=kind)
        assert problem in said["problem"], kind
        assert said["result"] == "no answer is shown"
        assert stapled(secure.address, f"{kind}.test") == NONE
        assert (certificate(balancer, kind)["state"], certificate(balancer, kind)["required"]) == ("unknown", False)
    assert "the issuer has revoked it on" in balancer.wait_log("certificate is revoked")["problem"]
    assert stapled(secure.address, "revoked.test") == NONE
    assert balancer.metric("evenly_certificate_revoked", certificate="revoked") == 1
    assert balancer.metric("evenly_certificate_revoked", certificate="good") == 0
    assert balancer.metric("evenly_certificate_ocsp_failures", certificate="dead") == 1
    assert balancer.metric("evenly_certificate_ocsp_expiry_timestamp_seconds", certificate="dead") == 0
    until = certificate(balancer, "good")["until"]
    assert balancer.metric("evenly_certificate_ocsp_expiry_timestamp_seconds", certificate="good") == until
    # A certificate that names nobody to ask is what most have by now; nobody hears of it.
    assert certificate(balancer, "silence") is None
    assert not any('"silence"' in line for line in balancer.log.all)
    shown = run_verb("certificates", "--admin", str(balancer.admin_path)).stdout
    assert "certificate good · OCSP: not revoked, stapled for" in shown
    assert "certificate revoked · OCSP: revoked by its issuer" in shown
    # Nobody is asked anew within the first half of an answer's time, or at once after a failure.
    assert sorted(responder.asked) == sorted(kinds)


def test_never_after_its_end_and_kept_over_restarts(run, port, servers, authority, responder, tmp_path) -> None:
    """An answer is shown for its time and no longer; a restart shows what was learned before."""
    site = authority.issue("shop.test", more=[names_responder(responder.url("good"))])
    secure, endpoint, state = port(), servers("a")[0], tmp_path / "state"
    file = text(site.table("site"), ["site"], secure, endpoint, more=f'state_dir = "{state}"\n')
    balancer = run(file)
    balancer.until(lambda: GOOD in stapled(secure.address, "shop.test"))
    kept = state / "ocsp" / "site.json"
    balancer.until(kept.exists)
    assert kept.stat().st_mode & 0o077 == 0
    balancer.end()
    again = run(file)
    again.until(lambda: GOOD in stapled(secure.address, "shop.test"))
    assert responder.asked == ["good"], "the answer is the one that was kept"
    again.reload(file.replace("[certificates.site]\n", "[certificates.site]\nocsp_stapling = false\n"))
    assert stapled(secure.address, "shop.test") == NONE
    again.reload(file)
    again.until(lambda: GOOD in stapled(secure.address, "shop.test"))
    # Another certificate of the same name has nothing of it, and answers that are good for a moment.
    responder.life = timedelta(seconds=3)
    authority.issue("shop.test", more=[names_responder(responder.url("good"))])
    again.until(lambda: responder.asked == ["good", "good"])
    again.until(lambda: stapled(secure.address, "shop.test") == NONE)
    again.until(lambda: certificate(again, "site")["state"] == "unknown")
    assert responder.asked == ["good", "good"], "and is not asked more often than once a minute"


def test_must_staple(run, port, servers, authority, responder) -> None:
    """Clients refuse such a certificate without an answer, so that its lack is told more loudly."""
    more = [names_responder(responder.url("forged")), MUST_STAPLE]
    tables = authority.issue("shop.test", more=more).table("site")
    tables += authority.issue("lost.test", more=[MUST_STAPLE]).table("lost")
    tables += authority.issue("off.test", more=more).table("off") + "ocsp_stapling = false\n"
    balancer = run(text(tables, ["site", "lost", "off"], port(), servers("a")[0]))
    said = balancer.wait_log("revocation status unknown", certificate="site")
    assert "clients refuse it, for it says that an answer must be shown" in said["result"]
    assert "does not say whom to ask" in balancer.wait_log("revocation status unknown", certificate="lost")["problem"]
    assert [certificate(balancer, name)["required"] for name in ("site", "lost")] == [True, True]
    assert certificate(balancer, "off") is None
    shown = run_verb("certificates", "--admin", str(balancer.admin_path)).stdout
    assert "certificate site · OCSP: no answer to staple, and it must be" in shown
    checked = run_verb("check", str(balancer.file)).stderr
    assert "certificates.off.ocsp_stapling: the certificate says that it must be stapled" in checked


def test_a_responder_that_others_wrote(run, port, servers, authority, tmp_path) -> None:
    """`openssl ocsp`, which signs with the authority's own key."""
    number = free_port()
    site = authority.issue("shop.test", more=[names_responder(f"http://127.0.0.1:{number}/")])
    serial = x509.load_pem_x509_certificate(site.cert.read_bytes()).serial_number
    issuer, key = authority.signer()
    files = {name: tmp_path / name for name in ("ca.pem", "ca.key", "index.txt")}
    files["ca.pem"].write_bytes(issuer.public_bytes(Encoding.PEM))
    files["ca.key"].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files["index.txt"].write_text(f"V\t351231235959Z\t\t{serial:X}\tunknown\t/CN=shop.test\n")
    process = subprocess.Popen(
        [
            program("openssl"), "ocsp", "-port", str(number), "-index", str(files["index.txt"]), "-nmin", "60",
            "-CA", str(files["ca.pem"]), "-rsigner", str(files["ca.pem"]), "-rkey", str(files["ca.key"]),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        Lines(process.stdout).wait(lambda line: "waiting for OCSP client" in line)
        secure = port()
        balancer = run(text(site.table("site"), ["site"], secure, servers("a")[0]))
        balancer.until(lambda: certificate(balancer, "site")["state"] == "good")
        balancer.until(lambda: GOOD in stapled(secure.address, "shop.test"))
    finally:
        process.terminate()
        process.wait(DEADLINE)


def test_over_http_3(run, port, servers, authority, responder, monkeypatch) -> None:
    """The handshake is the same one there. The client is made to ask, and to say what it is shown."""
    site = authority.issue("shop.test", more=[names_responder(responder.url("good"))])
    secure = port()
    balancer = run(text(site.table("site"), ["site"], secure, servers("a")[0], listener="http3 = true\n"))
    balancer.until(lambda: certificate(balancer, "site")["state"] == "good")
    balancer.until(lambda: GOOD in stapled(secure.address, "shop.test"))
    shown: list[bytes] = []
    send_hello, pull = aioquic.tls.Context._client_send_hello, aioquic.tls.pull_certificate

    def asking(context: Any, buffer: Any) -> None:
        # status_request, for OCSP, with no wishes (RFC 6066, section 8).
        context.handshake_extensions.append((5, b"\x01\x00\x00\x00\x00"))
        send_hello(context, buffer)

    def noting(buffer: Any) -> Any:
        message = pull(buffer)
        shown.append(message.certificates[0][1])
        return message

    monkeypatch.setattr(aioquic.tls.Context, "_client_send_hello", asking)
    monkeypatch.setattr(aioquic.tls, "pull_certificate", noting)
    with Http3Client(secure.address, authority.bundle) as client:
        assert client.get("/").status == 200
    # Type and length of the extension, kind and length of the answer.
    assert shown[0][:2] == b"\x00\x05"
    answer = ocsp.load_der_ocsp_response(shown[0][8:])
    assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD


def test_a_certificate_on_demand(run, port, servers, authority, responder, tmp_path) -> None:
    """One that an earlier process was issued is stapled as those of the file are."""
    issued = authority.issue("a.shop.test", more=[names_responder(responder.url("good"))])
    issuer = f"https://127.0.0.1:{free_port()}/dir"
    store = DirectoryStore(tmp_path / "acme")
    pem = issued.cert.read_text(), issued.key.read_text()
    records.save(store, "shops/a.shop.test", Issued(*pem, ("a.shop.test",), "ecdsa", "one", issuer))
    store.write("on-demand/shops", json.dumps({"version": 1, "hosts": ["a.shop.test"]}))
    acme = (
        f'state_dir = "{tmp_path}"\n'
        f'[acme]\nterms_agreed = true\nissuers = {{ one = "{issuer}" }}\nchallenge = "tls-alpn-01"\n'
    )
    asks = '{ on_demand = { hosts = ["*.shop.test"], ask = "http://127.0.0.1:9/" } }'
    secure = port()
    balancer = run(text(f"[certificates.shops]\nacme = {asks}\n", ["shops"], secure, servers("a")[0], more=acme))
    balancer.until(lambda: GOOD in stapled(secure.address, "a.shop.test"))
    told = certificate(balancer, "shops/a.shop.test")
    assert (told["state"], told["failures"]) == ("good", 0)
    assert balancer.metric("evenly_certificate_ocsp_expiry_timestamp_seconds", certificate="shops/a.shop.test") > 0
    assert (tmp_path / "ocsp" / "shops" / "a.shop.test.json").exists()

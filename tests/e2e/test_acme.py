"""Certificates over ACME: issued, shown, renewed while clients shake hands, and kept when the issuer is gone."""

import ssl
import threading
import time

import pytest
from evenly.certificates.caa import check, looking
from evenly.certificates.issue_error import IssueError
from evenly.config.schema import ResolverAddress

from ..support.authority import TlsPeer
from ..support.balancer import run_verb
from ..support.pebble import Names, issuing
from ..support.wire import Peer

PATIENCE = 60.0

RUN = """
workers = 1
state_dir = "{state}"

[acme]
terms_agreed = true
email = "ops@example.com"
resolver = "{resolver}"
[acme.issuers]
{issuers}

[certificates.site]
acme = {{ hosts = [{hosts}]{more} }}

[listeners.secure]
bind = "{secure}"
tls = {{ certificates = "site" }}

[listeners.plain]
bind = "{plain}"
redirect_https = true

[pools.app]
endpoints = ["{endpoint}"]
[[routes]]
pool = "app"
access = {{ allow = ["127.0.0.1"] }}
"""


class Site:
    """A configuration with one certificate, and the way to it."""

    def __init__(self, port, endpoint, state) -> None:
        self.secure, self.plain, self.endpoint, self.state = port(), port(), endpoint, state

    def text(self, *pebbles, hosts=("shop.test", "www.shop.test"), more="", account="") -> str:
        """The file."""
        issuers = "\n".join(f"issuer{number} = {each.issuer(account)}" for number, each in enumerate(pebbles))
        resolver = pebbles[0].resolver
        listed = ", ".join(f'"{host}"' for host in hosts)
        return RUN.format(
            state=self.state, resolver=resolver, issuers=issuers, hosts=listed, more=more,
            secure=self.secure, plain=self.plain, endpoint=self.endpoint,
        )  # fmt: skip

    def connect(self, context: ssl.SSLContext, name="shop.test") -> TlsPeer:
        """A client that has verified what it was shown."""
        plain = Peer.connect(self.secure.address)
        return TlsPeer(context.wrap_socket(plain.socket, server_hostname=name, suppress_ragged_eofs=False))

    def serial(self, context: ssl.SSLContext) -> str:
        """Of the certificate that is shown."""
        with self.connect(context) as client:
            return str((client.session.getpeercert() or {})["serialNumber"])


@pytest.fixture
def site(port, servers, tmp_path) -> Site:
    return Site(port, servers("a")[0], tmp_path / "state")


def certificate(balancer, name="site"):
    """What the admin API tells of it."""
    found = balancer.admin.get("/api/certificates").json()
    return next(each for each in found if each["name"] == name)


def test_issued_shown_and_kept(run, site, authority) -> None:
    """The first is issued through the listener itself, past its redirect; a restart without the issuer shows it."""
    with issuing(authority, site.plain) as pebble:
        balancer = run(site.text(pebble))
        balancer.wait_log("certificate issued", deadline=PATIENCE)
        balancer.wait_log("certificates replaced")
        trusting = pebble.context()
        with site.connect(trusting) as client:
            assert client.shown == {"shop.test", "www.shop.test"}
            assert client.ask(host="shop.test").text == "a"
        serial = site.serial(trusting)
        told = certificate(balancer)
        assert (told["origin"], told["renewal"]["issuer"], told["renewal"]["error"]) == ("acme", "issuer0", "")
        assert told["renewal"]["next_try"] > time.time() + 86_400
        assert balancer.metric("evenly_certificate_renewals_total", issuer="issuer0", outcome="issued") == 1
        assert balancer.metric("evenly_certificate_placeholder", certificate="site") == 0
        # Nothing of the challenge is left.
        with Peer.connect(site.plain.address) as client:
            assert client.ask("/.well-known/acme-challenge/x", host="shop.test").status == 308
        for file in site.state.rglob("*"):
            assert file.stat().st_mode & 0o077 == 0, file
        shown = run_verb("certificates", "--admin", str(balancer.admin_path)).stdout
        assert "issuer0" in shown
        balancer.end()
    again = run(site.text(pebble))
    assert site.serial(trusting) == serial
    assert certificate(again)["renewal"]["error"] == ""


def test_no_handshake_fails_while_it_is_renewed(run, site, authority) -> None:
    """Renewed by its own time, and by hand, while clients shake hands all along."""
    with issuing(authority, site.plain, seconds=20) as pebble:
        balancer = run(site.text(pebble))
        balancer.wait_log("certificates replaced", deadline=PATIENCE)
        trusting, serials, problems, ended = pebble.context(), set(), [], threading.Event()

        def shake_hands() -> None:
            while not ended.is_set():
                try:
                    serials.add(site.serial(trusting))
                except OSError as error:
                    problems.append(error)

        client = threading.Thread(target=shake_hands)
        client.start()
        try:
            with site.connect(trusting) as open_since:
                assert open_since.ask(host="shop.test").text == "a"
                balancer.until(lambda: len(serials) >= 2, PATIENCE)
                run_verb("certificates", "renew", "site", "--admin", str(balancer.admin_path), timeout=PATIENCE)
                balancer.until(lambda: len(serials) >= 3, PATIENCE)
                assert open_since.ask(host="shop.test").text == "a"
        finally:
            ended.set()
            client.join()
        assert problems == []


def test_a_dead_issuer_and_the_next_one(run, site, authority) -> None:
    """The next issuer is asked; if there is none, the certificate stays, and everybody is told."""
    with issuing(authority, site.plain) as dead, issuing(authority, site.plain) as alive:
        dead.stop()
        balancer = run(site.text(dead, alive))
        balancer.wait_log("certificate issued", deadline=PATIENCE, issuer="issuer1")
        failed = balancer.wait_log("issuer failed")
        assert "issuer0 does not tell its directory: Connection refused" in failed["problem"]
        balancer.wait_log("certificates replaced")
        trusting = alive.context()
        serial = site.serial(trusting)
        assert balancer.metric("evenly_certificate_renewals_total", issuer="issuer0", outcome="failed") == 1
        alive.stop()
        refused = run_verb("certificates", "renew", "site", "--admin", str(balancer.admin_path), expect=1)
        assert "Connection refused" in refused.stderr
        assert site.serial(trusting) == serial
        told = certificate(balancer)["renewal"]
        assert "issuer1 does not tell its directory" in told["error"]
        assert time.time() < told["next_try"] < time.time() + 130
        assert balancer.metric("evenly_certificate_renewal_failures", certificate="site") == 1
        assert "Connection refused" in run_verb("status", "--admin", str(balancer.admin_path)).stdout


def test_until_there_is_one_a_placeholder_is_shown(run, site, authority) -> None:
    """It says what it is, nobody trusts it, and clients who do not care are served."""
    with issuing(authority, site.plain) as pebble:
        pebble.stop()
        balancer = run(site.text(pebble))
        balancer.wait_log("certificate not issued")
        with pytest.raises(ssl.SSLCertVerificationError):
            site.connect(ssl.create_default_context())
        careless = ssl._create_unverified_context()
        with site.connect(careless) as client:
            assert b"Evenly placeholder, no certificate yet" in (client.session.getpeercert(binary_form=True) or b"")
            assert client.ask(host="shop.test").text == "a"
        assert certificate(balancer)["origin"] == "placeholder"
        assert balancer.metric("evenly_certificate_placeholder", certificate="site") == 1
        assert "placeholder" in run_verb("certificates", "--admin", str(balancer.admin_path)).stdout
        # What is asked for by hand is asked for at once, whatever the backoff says.
        pebble.start()
        run_verb("certificates", "renew", "site", "--admin", str(balancer.admin_path), timeout=PATIENCE)
        assert certificate(balancer)["origin"] == "acme"


def test_a_dry_run_issues_nothing(run, site, authority) -> None:
    """It shows that all would go well, or why not."""
    with issuing(authority, site.plain) as pebble:
        balancer = run(site.text(pebble))
        balancer.wait_log("certificates replaced", deadline=PATIENCE)
        serial = site.serial(pebble.context())
        arguments = ("certificates", "renew", "site", "--dry-run", "--admin", str(balancer.admin_path))
        assert "would be issued" in run_verb(*arguments, timeout=PATIENCE).stdout
        assert site.serial(pebble.context()) == serial
        pebble.stop()
        assert "Connection refused" in run_verb(*arguments, expect=1).stderr
        assert certificate(balancer)["renewal"]["error"] == ""


def test_a_reload_that_wants_more_hosts(run, site, authority) -> None:
    """The old certificate is shown until the new one is there."""
    with issuing(authority, site.plain) as pebble:
        balancer = run(site.text(pebble))
        balancer.wait_log("certificates replaced", deadline=PATIENCE)
        trusting = pebble.context()
        balancer.reload(site.text(pebble, hosts=("shop.test", "new.test"), more=', key_type = "rsa-2048"'))
        site.serial(trusting)
        balancer.wait_log("certificate issued", deadline=PATIENCE, hosts="shop.test, new.test")
        balancer.until(lambda: "RSA 2048" in certificate(balancer)["key"])
        with site.connect(trusting, "new.test") as client:
            assert client.shown == {"shop.test", "new.test"}


def test_revoked_with_another_in_its_place(run, site, authority) -> None:
    """The old one is revoked when the new one is shown already."""
    with issuing(authority, site.plain) as pebble:
        balancer = run(site.text(pebble))
        balancer.wait_log("certificates replaced", deadline=PATIENCE)
        trusting = pebble.context()
        before = site.serial(trusting)
        arguments = (
            "certificates",
            "revoke",
            "site",
            "--reason",
            "key-compromise",
            "--admin",
            str(balancer.admin_path),
        )
        assert "site: revoked" in run_verb(*arguments, timeout=PATIENCE).stdout
        after = site.serial(trusting)
        assert after != before
        assert pebble.status_of(int(before, 16)) == "Revoked"
        assert pebble.status_of(int(after, 16)) == "Valid"


def test_an_external_account(run, site, authority, tmp_path) -> None:
    """Issuers that want one are told; without it, everybody is."""
    key = tmp_path / "eab.key"
    key.touch(mode=0o600)
    key.write_text("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n")
    with issuing(authority, site.plain, external_account={"kid-1": key.read_text().strip()}) as pebble:
        balancer = run(site.text(pebble))
        assert "set `external_account`" in balancer.wait_log("certificate not issued", deadline=PATIENCE)["problem"]
        balancer.reload(site.text(pebble, account=f', external_account = {{ key_id = "kid-1", key_file = "{key}" }}'))
        balancer.wait_log("certificate issued", deadline=PATIENCE)


def test_caa_records_are_looked_up() -> None:
    """By a server that others wrote."""
    names = Names()
    try:
        look = looking(ResolverAddress.parse(names.address))
        check(["www.shop.test"], ["ours.example"], "ours", look)
        names.say("add-caa", host="shop.test.", policies=[{"tag": "issue", "value": "theirs.example"}])
        check(["www.shop.test"], ["theirs.example"], "theirs", look)
        with pytest.raises(IssueError, match=r"shop\.test allow theirs\.example to issue"):
            check(["www.shop.test"], ["ours.example"], "ours", look)
    finally:
        names.close()


@pytest.mark.timeout(420)
def test_what_caa_records_forbid_is_not_ordered(run, site, authority, newer_pebble) -> None:
    """That is said in a line, and the issuer hears of it when the record has been changed."""
    with issuing(authority, site.plain, program=newer_pebble, caa=["ours.example"]) as pebble:
        pebble.names.say("add-caa", host="shop.test.", policies=[{"tag": "issue", "value": "theirs.example"}])
        balancer = run(site.text(pebble))
        problem = balancer.wait_log("certificate not issued", deadline=PATIENCE)["problem"]
        assert "shop.test allow theirs.example to issue" in problem
        assert not any("order" in line and "creat" in line for line in pebble.log.all)
        pebble.names.say("clear-caa", host="shop.test.")
        run_verb("certificates", "renew", "site", "--admin", str(balancer.admin_path), timeout=PATIENCE)
        assert certificate(balancer)["origin"] == "acme"


def test_for_development(run, port, servers) -> None:
    """One option; what it is stands in the certificate, in the log and in what operators see."""
    secure = port()
    balancer = run(
        f'workers = 1\n[listeners.secure]\nbind = "{secure}"\ntls = {{ certificates = "dev" }}\n'
        f'[certificates.dev]\nself_signed = ["localhost", "127.0.0.1"]\n'
        f'[pools.app]\nendpoints = ["{servers("a")[0]}"]\n'
    )
    assert "self-signed" in balancer.wait_log("certificate expires")["problem"]
    plain = Peer.connect(secure.address)
    with TlsPeer(ssl._create_unverified_context().wrap_socket(plain.socket, server_hostname="localhost")) as client:
        assert b"Evenly development certificate, not trusted" in (client.session.getpeercert(binary_form=True) or b"")
        assert client.ask(host="localhost").text == "a"
    told = certificate(balancer, "dev")
    assert (told["origin"], told["names"]) == ("self-signed", ["localhost", "127.0.0.1"])
    assert "self-signed" in run_verb("certificates", "--admin", str(balancer.admin_path)).stdout

"""Certificates: chosen by name and kind, replaced while the process runs, and refused before anybody sees a mistake."""

import json
import subprocess

import pytest

from ..support.authority import Files
from ..support.balancer import console_script, run_verb
from ..support.http2 import Http2Client
from ..support.http3 import Http3Client
from ..support.ports import Port

RUN = """
workers = 1
access_log = "-"
[listeners.web]
bind = "{bind}"
tls = {{ certificates = [{listed}], policy = "intermediate"{more} }}
[pools.app]
endpoints = ["{endpoint}"]
{tables}
"""


def text(port: Port, endpoint: object, more: str = "", **files) -> str:
    """A configuration with these certificates."""
    tables = "".join(each.table(name) for name, each in files.items())
    listed = ", ".join(f'"{name}"' for name in files)
    return RUN.format(bind=port, listed=listed, endpoint=endpoint, tables=tables, more=more)


def test_by_name_and_kind(run, port, servers, authority) -> None:
    """Exact before wildcard, the first for everybody else; ECDSA where the client can, RSA where it must."""
    bound = port()
    upstream = servers("a")
    run(
        text(
            bound, upstream[0],
            default=authority.issue("default.test"), wild=authority.issue("*.shop.test"),
            www=authority.issue("www.shop.test"), www_rsa=authority.issue("www.shop.test", key="rsa"),
        )
    )  # fmt: skip
    for asked, shown in [
        ("default.test", "default.test"),
        ("www.shop.test", "www.shop.test"),
        ("WWW.shop.test", "www.shop.test"),
        ("api.shop.test", "*.shop.test"),
    ]:
        with authority.connect(bound, asked) as client:
            assert client.shown == {shown}
            assert client.ask(host=asked).text == "a"
    with authority.connect(bound, "www.shop.test", only_rsa=True) as client:
        assert client.session.cipher()[0].startswith("ECDHE-RSA")
    with authority.connect(bound, "www.shop.test") as client:
        assert client.shown == {"www.shop.test"}
    with authority.connect(bound, None) as client:
        assert client.shown == {"default.test"}


def test_strict_sni(run, port, servers, authority) -> None:
    """Nobody is shown a certificate for a name that it did not ask for."""
    bound = port()
    balancer = run(text(bound, servers("a")[0], ", strict_sni = true", site=authority.issue("shop.test")))
    with authority.connect(bound) as client:
        assert client.ask(host="shop.test").text == "a"
    for name in ("other.test", None):
        with pytest.raises(OSError):
            authority.connect(bound, name)
    balancer.access(reason="tls-name-unknown")
    assert balancer.metric("evenly_terminations_total", reason="tls-name-unknown") == 2


def test_strict_sni_holds_for_hosts(run, port, servers, authority) -> None:
    """A request for what the certificate is not for is misdirected, by every version of HTTP."""
    bound, upstream = port(), servers("a")[0]
    site, other = authority.issue("shop.test", "*.shop.test"), authority.issue("other.test")
    strict = text(bound, upstream, ", strict_sni = true", site=site, other=other)
    balancer = run(strict.replace("bind =", "http3 = true\nbind ="))
    expected = [("shop.test", 200), ("API.Shop.test:8443", 200), ("other.test", 421), ("unknown.test", 421)]
    with authority.connect(bound) as client:
        for host, status in [*expected, ("shop.test.", 200)]:
            assert client.ask(host=host).status == status, host
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert client.read_response().status == 200, "a request that names no host is for the connection's"
        client.send("GET https://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n")
        assert client.read_response().status == 421
    with authority.connect(bound, alpn=["h2"]) as session, Http2Client(session.session) as client:
        for host, status in expected:
            assert client.wait(client.begin(host=host)).status == status, host
    with Http3Client(bound.address, authority.bundle) as client:
        for host, status in expected:
            assert client.get("/", host=host).status == status, host
    assert balancer.access(reason="misdirected")["status"] == 421
    assert balancer.metric("evenly_terminations_total", reason="misdirected") == 7
    balancer.reload(strict.replace("strict_sni = true", "strict_sni = false"))
    with authority.connect(bound) as client:
        assert client.ask(host="other.test").status == 200, "without it, as ever"


def test_replaced_files_are_used_at_once_and_touch_nobody(run, port, servers, authority) -> None:
    """New connections are shown the new one; those that are open stay as they are. No reload is asked for."""
    bound = port()
    balancer = run(text(bound, servers("a")[0], site=authority.issue("shop.test", file="site")))
    with authority.connect(bound) as before:
        assert before.ask().text == "a"
        authority.issue("shop.test", "new.test", file="site")
        balancer.wait_log("certificates replaced")
        with authority.connect(bound, "new.test") as after:
            assert after.shown == {"shop.test", "new.test"}
            assert after.ask().text == "a"
        assert before.ask().text == "a"
    # Half of a pair, as it is while somebody copies files by hand.
    authority.issue("half.test", file="half")
    (authority.directory / "site.pem").write_bytes((authority.directory / "half.pem").read_bytes())
    problem = balancer.wait_log("certificates not replaced")["problem"]
    assert "certificates.site.key" in problem
    assert "is not the key of the certificate" in problem
    with authority.connect(bound, "new.test") as client:
        assert client.ask().text == "a"
    assert balancer.metric("evenly_certificate_replacement_failed", certificate="site") == 1
    (authority.directory / "half.key").rename(authority.directory / "site.key")
    balancer.wait_log("certificates replaced", after=len(balancer.log.all))
    with authority.connect(bound, "half.test") as client:
        assert client.ask().text == "a"
    assert balancer.metric("evenly_certificate_replacement_failed", certificate="site") == 0


def test_a_valid_one_stays_until_its_replacement_is_valid(run, port, servers, authority) -> None:
    """Nobody asked for what has replaced its files; once it becomes valid, it is shown by itself."""
    bound = port()
    balancer = run(text(bound, servers("a")[0], site=authority.issue("shop.test", file="site")))

    def stays(said: str, after: int) -> None:
        problem = balancer.wait_log("certificates not replaced", after)["problem"]
        assert "certificates.site.cert: " in problem
        assert said in problem
        with authority.connect(bound) as client:
            assert client.ask().text == "a"
        assert balancer.metric("evenly_certificate_replacement_failed", certificate="site") == 1
        assert said in run_verb("certificates", "--json", "--admin", str(balancer.admin_path)).stdout

    authority.issue("shop.test", file="site", days=-1)
    stays("expired on", 0)
    seen = len(balancer.log.all)
    authority.issue("shop.test", "new.test", file="site", begins=8 / 86_400)
    stays("is not valid before", seen)
    balancer.wait_log("certificates replaced", seen)
    with authority.connect(bound, "new.test") as client:
        assert client.ask().text == "a"
    assert balancer.metric("evenly_certificate_replacement_failed", certificate="site") == 0


def test_what_is_not_valid_makes_room_and_is_told_at_once(run, port, servers, authority) -> None:
    """For what has replaced its files, valid or not; a reload takes what there is, because somebody asked for it."""
    bound = port()
    balancer = run(text(bound, servers("a")[0], site=authority.issue("shop.test", file="site", days=-1)))
    said = balancer.wait_log("certificate expires")["problem"]
    assert "has expired" in said
    seen = len(balancer.log.all)
    authority.issue("shop.test", file="site", begins=1)
    balancer.wait_log("certificates replaced", seen)
    assert "is not valid before" in balancer.wait_log("certificate expires", seen)["problem"]
    authority.issue("shop.test", file="site")
    balancer.wait_log("certificates replaced", len(balancer.log.all))
    seen = len(balancer.log.all)
    authority.issue("shop.test", file="site", days=-2)
    balancer.reload()
    assert balancer.wait_log("certificate expires", seen)["problem"] == said
    with pytest.raises(OSError, match=r"(?i)expired"):
        authority.connect(bound)


def mistakes(authority):
    """Every mistake: its files, at which option it is told, and what is said about it."""
    good, other = authority.issue("good.test"), authority.issue("other.test")
    swapped = authority.issue("a.test", file="swapped", order=(1, 0))
    readable = authority.issue("c.test", file="readable")
    readable.key.chmod(0o644)
    yield Files(good.cert, other.key), "key", "is not the key of the certificate in"
    yield swapped, "cert", "out of order: certificate 1"
    yield authority.issue("b.test", file="gap", order=(0, 0)), "cert", "out of order: certificate 1"
    yield Files(good.cert.with_name("missing.pem"), good.key), "cert", "cannot be read: No such file"
    yield Files(good.cert, good.cert), "key", "has no private key that can be read"
    yield Files(good.key, good.key), "cert", "has no certificate that can be read"
    yield readable, "key", "every user of this machine may use"


def test_mistakes_are_refused_with_line_and_path(run, port, servers, authority, tmp_path) -> None:
    """At the start with exit code 2; at a reload too, and the running configuration stays."""
    bound, upstream, wrong = port(), servers("a")[0], tmp_path / "wrong.toml"
    good = authority.issue("shop.test")
    balancer = run(text(bound, upstream, site=good))
    for files, option, said in mistakes(authority):
        wrong.write_text(text(port(), upstream, site=files))
        done = subprocess.run([console_script(), "run", str(wrong)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, (said, done.stderr)
        line = 1 + wrong.read_text().splitlines().index(f'{option} = "{getattr(files, option)}"')
        assert f"wrong.toml:{line}: certificates.site.{option}: " in done.stderr, (said, done.stderr)
        assert said in done.stderr
    balancer.file.write_text(text(bound, upstream, site=Files(good.cert.with_name("gone.pem"), good.key)))
    assert balancer.admin.post("/api/reload").status_code == 422
    with authority.connect(bound) as client:
        assert client.ask().text == "a"


def test_an_expired_one_is_a_warning(run, port, servers, authority) -> None:
    """It may be all that there is: it is shown, and everybody is told."""
    bound = port()
    balancer = run(text(bound, servers("a")[0], site=authority.issue("shop.test", days=-1)))
    balancer.log.wait(lambda line: "expired on" in line)
    balancer.wait_log("certificate expires")
    with pytest.raises(OSError, match=r"(?i)expired"):
        authority.connect(bound)


def test_the_verb(run, port, servers, authority) -> None:
    """`evenly certificates`: names, issuer, expiry, days left, where it is used."""
    bound = port()
    balancer = run(text(bound, servers("a")[0], site=authority.issue("shop.test", "*.shop.test", days=30.5)))
    shown = run_verb("certificates", "--admin", str(balancer.admin_path)).stdout
    for word in ("site", "shop.test", "*.shop.test", "Test CA", "ECDSA P-256", "30", "web"):
        assert word in shown, shown
    [told] = json.loads(run_verb("certificates", "--json", "--admin", str(balancer.admin_path)).stdout)
    assert told["names"] == ["shop.test", "*.shop.test"]
    assert (told["issuer"], told["days_left"], told["listeners"]) == ("Test CA", 30, ["web"])
    assert "PRIVATE" not in json.dumps(told)

"""Certificates by the challenge `dns-01`: wildcards, by dynamic updates to a server that others wrote, a program, a
plug-in."""

import sys

import pytest

from ..support.named import naming
from ..support.pebble import issuing
from .test_acme import PATIENCE, Site, certificate

RUN = """
workers = 1
state_dir = "{state}"
[acme]
terms_agreed = true
challenge = "dns-01"
resolver = "{resolver}"
dns = {{ wait = "0s", {dns} }}
issuers = {{ pebble = {issuer} }}
[certificates.site]
acme = ["shop.test", "*.shop.test"]
[listeners.secure]
bind = "{secure}"
tls = {{ certificates = "site" }}
[pools.app]
endpoints = ["{endpoint}"]
"""


@pytest.fixture
def site(port, servers, tmp_path) -> Site:
    return Site(port, servers("a")[0], tmp_path / "state")


def text(site: Site, pebble, dns: str) -> str:
    """A file with one wildcard certificate; nobody listens without TLS."""
    return RUN.format(
        state=site.state,
        resolver=pebble.resolver,
        dns=dns,
        issuer=pebble.issuer(),
        secure=site.secure,
        endpoint=site.endpoint,
    )


def test_a_wildcard_by_dynamic_updates(run, site, authority) -> None:
    """Two records of one name, signed; none is left behind."""
    with naming() as named, issuing(authority, site.plain, dns=named.address) as pebble:
        options = f'type = "rfc2136", server = "{named.address}", key_name = "evenly", key_file = "{named.key_file}"'
        balancer = run(text(site, pebble, options))
        balancer.wait_log("certificates replaced", deadline=PATIENCE)
        with site.connect(pebble.context(), "any.shop.test") as client:
            assert client.shown == {"shop.test", "*.shop.test"}
            assert client.ask(host="any.shop.test").text == "a"
        assert sum("adding an RR" in line for line in named.log.all) == 2
        assert named.texts("_acme-challenge.shop.test") == []


def test_a_server_that_refuses_is_told(run, site, authority) -> None:
    """A wrong key: the server's own word for it."""
    with naming() as named, issuing(authority, site.plain, dns=named.address) as pebble:
        named.key_file.write_text("bm90IHRoZSBrZXk=\n")
        options = f'type = "rfc2136", server = "{named.address}", key_name = "evenly", key_file = "{named.key_file}"'
        balancer = run(text(site, pebble, options))
        problem = balancer.wait_log("certificate not issued", deadline=PATIENCE)["problem"]
        assert "did not add the record _acme-challenge.shop.test" in problem
        assert certificate(balancer)["origin"] == "placeholder"


HOOK = """#!/usr/bin/env python3
import json, sys, urllib.request
verb, name, value = sys.argv[2:]
assert sys.argv[1] == "--zone"
path, body = "set-txt" if verb == "add" else "clear-txt", {{"host": name + ".", "value": value}}
urllib.request.urlopen(f"http://127.0.0.1:{port}/{{path}}", json.dumps(body).encode())
with open({log!r}, "a") as log:
    log.write(verb + "\\n")
"""


def test_a_program(run, site, authority, tmp_path) -> None:
    """It is started with the verb, the name and the value, and says by its exit code whether that went well."""
    with issuing(authority, site.plain) as pebble:
        hook, log = tmp_path / "hook", tmp_path / "log"
        hook.write_text(HOOK.format(port=pebble.names.manage, log=str(log)))
        hook.chmod(0o755)
        options = f'type = "exec", command = ["{sys.executable}", "{hook}", "--zone"]'
        balancer = run(text(site, pebble, options))
        balancer.wait_log("certificates replaced", deadline=PATIENCE)
        with site.connect(pebble.context(), "any.shop.test") as client:
            assert client.shown == {"shop.test", "*.shop.test"}
        assert log.read_text().split() == ["add", "add", "remove", "remove"]
        hook.write_text("import sys\nsys.exit('no such zone')\n")
        answer = balancer.admin.post("/api/certificates/site/renew", timeout=PATIENCE)
        assert answer.status_code == 502
        assert "ended with 1: no such zone" in answer.json()["detail"]


PLUGIN = """
import json, urllib.request
class Provider:
    def __init__(self, url):
        self.url = url
    def add(self, name, value):
        self.tell("set-txt", {"host": name + ".", "value": value})
    def remove(self, name, value):
        self.tell("clear-txt", {"host": name + "."})
    def tell(self, path, body):
        urllib.request.urlopen(f"{self.url}/{path}", json.dumps(body).encode())
"""


def test_a_plugin(run, site, authority, tmp_path) -> None:
    """A class that a package offers under an entry point; one that none offers is told with those that there are."""
    (tmp_path / "mydns.py").write_text(PLUGIN)
    information = tmp_path / "mydns-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mydns\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[evenly.dns]\nmydns = mydns:Provider\n")
    with issuing(authority, site.plain) as pebble:
        options = f'type = "plugin", name = "mydns", options = {{ url = "http://127.0.0.1:{pebble.names.manage}" }}'
        balancer = run(text(site, pebble, options), environment={"PYTHONPATH": str(tmp_path)})
        balancer.wait_log("certificates replaced", deadline=PATIENCE)
        with site.connect(pebble.context(), "any.shop.test") as client:
            assert client.shown == {"shop.test", "*.shop.test"}
        balancer.reload(text(site, pebble, 'type = "plugin", name = "yours"'))
        answer = balancer.admin.post("/api/certificates/site/renew", timeout=PATIENCE)
        assert "no installed package offers 'yours' under evenly.dns; there is mydns" in answer.json()["detail"]

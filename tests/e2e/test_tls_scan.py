"""testssl.sh looks for weaknesses of what a listener speaks by default."""

import json
import subprocess

import pytest

from ..support.programs import program

# What the site has to do with, and not who speaks TLS for it.
OF_THE_SITE = {
    "cert_revocation": "the test's authority has no list of revoked certificates",
    "security_headers": "which fields a site sends besides HSTS",
    "DNS_CAArecord": "a record of the site's domain",
    "engine_problem": "of the scanner's own OpenSSL",
}
# The scanner has been kept waiting, as on a busy machine.
NOT_FOUND_OUT = "check failed because of connect problem"
# Mozilla: the client chooses, as all that is offered is good.
OF_THE_POLICY = {"cipher_order": "of the policy `intermediate`, where the client chooses"}


@pytest.mark.parametrize(("policy", "known"), [("modern", {}), ("intermediate", OF_THE_POLICY)])
def test_nothing_above_low(web, servers, authority, tmp_path, policy, known) -> None:
    """Protocols, ciphers, key exchange, certificate, header fields and all known attacks."""
    command = program("testssl")
    serving = web(
        *servers("a"),
        listener=f'tls = {{ certificates = "site", policy = "{policy}", hsts = "1y" }}',
        routes=authority.issue("shop.test").table("site"),
    )
    found = tmp_path / "found.json"
    scan = ["-p", "-s", "-f", "-P", "-S", "-h", "-U"]
    told = ["--quiet", "--warnings", "off", "--color", "0", "--jsonfile", str(found)]
    reached = ["--ip", "127.0.0.1", "--add-ca", str(authority.bundle), f"shop.test:{serving.port.address[1]}"]
    done = subprocess.run([command, *scan, *told, *reached], capture_output=True, text=True, timeout=200, check=False)
    findings = json.loads(found.read_text())
    names = {finding["id"] for finding in findings}
    assert {"TLS1", "TLS1_3", "cert_chain_of_trust", "HSTS_time", "heartbleed"} <= names, done.stdout
    bad = [
        finding
        for finding in findings
        if finding["severity"] not in ("OK", "INFO", "LOW")
        and finding["id"] not in {**OF_THE_SITE, **known}
        and finding["finding"] != NOT_FOUND_OUT
    ]
    assert not bad, json.dumps(bad, indent=1)

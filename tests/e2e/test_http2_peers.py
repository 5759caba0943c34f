"""HTTP/2 as others see it: h2spec for the rules, h2load for many clients at once."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from ..support.programs import built_by_go, program


@pytest.fixture(scope="session")
def h2spec(tmp_path_factory) -> Path:
    """h2spec; or the reason why it is skipped."""
    return built_by_go("h2spec", "github.com/summerwind/h2spec/cmd/h2spec", tmp_path_factory.mktemp("h2spec"))


@pytest.mark.timeout(420)
@pytest.mark.parametrize(("section", "number"), [("generic", 44), ("hpack", 7), ("http2", 95)])
def test_every_rule(web, servers, authority, tmp_path, h2spec, section, number) -> None:
    """Every case of the section passes over TLS, those that h2spec calls strict among them. There are no exceptions."""
    site = authority.issue("localhost")
    # Longer than the windows that it is to fit into.
    backends = servers("an answer")
    # What is wrong with a request has to come before its answer: behind that, the stream is reset, and what comes on it
    # is rightly ignored (RFC 9113 §5.1, §8.1).
    backends[0].works_on(100, 0.1)
    serving = web(*backends, listener='tls = { certificates = "site" }', routes=site.table("site"))
    report = tmp_path / "report.xml"
    done = subprocess.run(
        [h2spec, section, "-t", "-k", "-S", "-p", str(serving.port.number), "-j", report, "--timeout", "5"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    cases = list(ElementTree.parse(report).iter("testcase"))
    # Neither failed, nor left out because of how the listener behaves.
    bad = [f"{case.get('package')}: {case.get('classname')}" for case in cases if len(case)]
    assert not bad, f"{bad}\n{done.stdout[-6000:]}"
    assert len(cases) == number


@pytest.mark.parametrize(("streams", "connections"), [(1, 16), (32, 16)])
def test_load(web, servers, authority, streams, connections) -> None:
    """No request of some thousands fails."""
    site = authority.issue("localhost")
    serving = web(*servers("a"), listener='tls = { certificates = "site" }', routes=site.table("site"))
    done = subprocess.run(
        [program("h2load"), "-n", "4000", "-c", str(connections), "-m", str(streams), f"https://127.0.0.1:{serving.port.number}/"],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    told = re.search(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed", done.stdout)
    assert told is not None, done.stdout
    assert told.groups() == ("4000", "4000", "0")
    assert "2xx" in done.stdout

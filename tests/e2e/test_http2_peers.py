"""HTTP/2 as others see it: h2spec for the rules, h2load for many clients at once."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from ..support.programs import program

H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec"
VERSION = "v2.2.1+incompatible"


@pytest.fixture(scope="session")
def h2spec(tmp_path_factory) -> Path:
    """h2spec, built by Go; or the reason why it is skipped."""
    go, folder = program("go"), tmp_path_factory.mktemp("h2spec")
    for step in (["mod", "init", "h2spec.test"], ["get", f"{H2SPEC}@{VERSION}"], ["build", "-o", "h2spec", H2SPEC]):
        built = subprocess.run([go, *step], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if built.returncode != 0:
            # Debian has no package of it, and where its sources cannot be fetched there is nothing to run.
            pytest.skip(f"h2spec could not be built: {built.stderr[-200:]}")
    return folder / "h2spec"


@pytest.mark.timeout(420)
@pytest.mark.parametrize("section", ["generic", "hpack", "http2"])
def test_every_rule(web, servers, authority, tmp_path, h2spec, section) -> None:
    """Every case of the section passes, over TLS."""
    site = authority.issue("localhost")
    serving = web(*servers("a"), listener='tls = { certificates = "site" }', routes=site.table("site"))
    report = tmp_path / "report.xml"
    done = subprocess.run(
        [h2spec, section, "-t", "-k", "-S", "-p", str(serving.port.number), "-j", report, "--timeout", "5"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [f"{case.get('package')}: {case.get('classname')}" for case in cases if case.find("failure") is not None]
    assert len(cases) > 5
    assert not failed, f"{failed}\n{done.stdout[-6000:]}"


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

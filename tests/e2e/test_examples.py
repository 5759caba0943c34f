"""Every example and every whole configuration in the documents is one that Evenly accepts; the examples serve, too."""

import base64
import os
import re
import tomllib
from pathlib import Path

import pytest

from ..support.balancer import run_verb
from ..support.wire import Peer

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(ROOT.glob("examples/*/evenly.toml"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A block that names a listener is a whole file; others are excerpts.
WHOLE = [
    (path, block)
    for path in DOCUMENTS
    for block in re.findall(r"^```toml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    if "[listeners." in block and "[pools." in block
]


def test_they_are_there() -> None:
    """Empty lists would pass everything."""
    assert len(EXAMPLES) >= 5
    assert WHOLE


@pytest.mark.parametrize(("path", "block"), WHOLE, ids=lambda value: value.stem if isinstance(value, Path) else "")
def test_documents(path: Path, block: str, tmp_path: Path) -> None:
    """What a page shows as a file is one."""
    file = tmp_path / "evenly.toml"
    file.write_text(block)
    run_verb("check", str(file))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
def test_example(example: Path, run, port, servers, authority, tmp_path: Path) -> None:
    """Runs the example with its addresses replaced by ones of this machine, and asks it something."""
    text = example.read_text()
    if "source_address" in text and os.geteuid() != 0:
        # Only root may show clients' addresses; that it is a good file is what is left to say.
        run_verb("check", str(example))
        return
    addresses = dict.fromkeys(re.findall(r'"((?:[\w.-]*|\[::\]):\d+)"', text))
    bound = re.findall(r'bind = "([^"]+)"', text)
    backends = iter(servers(*("ready" for _ in addresses)))
    for address in addresses:
        addresses[address] = str(port() if address in bound else next(backends))
    for address, replacement in addresses.items():
        text = text.replace(f'"{address}"', f'"{replacement}"')
    token = tmp_path / "token"
    token.write_text("example-token\n")
    token.chmod(0o600)
    text = text.replace('token_file = "token"', f'token_file = "{token}"')
    for stem, name in (("shop", "shop.example.com"), ("site", "example.org")):
        files = authority.issue(name)
        text = text.replace(f'"{stem}.pem"', f'"{files.cert}"').replace(f'"{stem}.key"', f'"{files.key}"')
    text = text.replace('"root.pem"', f'"{authority.bundle}"')
    # Nobody answers there: what an issuer would do is for other tests to say.
    text = text.replace("acme-v02.api.letsencrypt.org", "localhost:1").replace("/var/lib/evenly", str(tmp_path))
    balancer = run(text.replace("/var/log/evenly", str(tmp_path)))
    written = tomllib.loads(text)
    for name, pool in written["pools"].items():
        check = pool.get("health_check")
        # The servers of this test answer over HTTP/1.1.
        is_other = isinstance(check, dict) and check.get("type") in {"udp", "dns", "grpc"}
        if check and not is_other and name != "cache":
            for endpoint in pool["endpoints"]:
                address = endpoint["address"] if isinstance(endpoint, dict) else endpoint
                balancer.wait_log("endpoint", pool=name, endpoint=address, to="healthy")
    if "acme" in written:
        balancer.wait_log("certificate not issued")
        return
    listener = next(iter(written["listeners"].values()))
    is_h2 = any(pool.get("protocol") == "h2" for pool in written["pools"].values())
    if listener.get("protocol", "http") != "http" or is_h2:
        # What it carries, TLS, datagrams and calls, is for its own tests to say.
        assert {one["name"] for one in balancer.status()["listeners"]} == set(written["listeners"])
        return
    host, number = listener["bind"].rsplit(":", 1)
    address = (host, int(number))
    with authority.connect(address, "shop.example.com") if "tls" in listener else Peer.connect(address) as client:
        response = client.ask("/", host="shop.example.com")
        assert (response.status, response.text) == (200, "ready")


def test_the_password_and_the_key_that_the_example_names(run, port, servers) -> None:
    """The commands of the page come in; others do not."""
    folder = ROOT / "examples/12-access"
    page = (folder / "README.md").read_text()
    (password,) = re.findall(r"curl -i -u (ada:\S+) ", page)
    (key,) = re.findall(r"curl -i -H '(X-Api-Key: [^']+)'", page)
    bound, backend = port(), servers("ready")[0]
    text = (folder / "evenly.toml").read_text()
    assert f'The password is "{password.removeprefix("ada:")}"' in text
    run(text.replace("0.0.0.0:8080", str(bound)).replace("10.0.0.1:9000", str(backend)))
    with Peer.connect(bound.address) as client:
        for said, status in ((password, 200), (f"{password}x", 401)):
            basic = base64.b64encode(said.encode()).decode()
            assert client.ask("/staff/", f"Authorization: Basic {basic}").status == status
        assert [client.ask("/api/", field).status for field in (key, f"{key}x")] == [200, 403]

"""The names that endpoints are asked for under TLS, whatever way they came into their pool."""

import json

import pytest
from evenly.config import document, resolve
from evenly.config.schema import Endpoint, EndpointAddress

from .writing import MACHINE, WEB, read

FOUND = Endpoint(address=EndpointAddress.parse("10.9.0.1:8443"))
NAMED = FOUND.model_copy(update={"sni": "a.srv.internal"})


@pytest.mark.parametrize(
    ("pool", "found", "names"),
    [
        ('endpoints = ["https://app.internal:8443"]', None, ["app.internal"]),
        ('endpoints = ["https://App.internal.:8443"]', None, ["app.internal"]),
        ('endpoints = ["app.internal:8443"]', None, [None]),
        ('endpoints = ["https://10.0.0.1:8443"]', None, [None]),
        ('endpoints = ["https://10.0.0.1:8443"]\ntls = { sni = "x.test" }', None, ["x.test"]),
        ('endpoints = [{ address = "10.0.0.1:8443", sni = "own.test" }]\ntls = { sni = "x.test" }', None, ["own.test"]),
        ('discovery = { type = "dns", name = "app.dns.", port = 8443 }\ntls = {}', FOUND, ["app.dns"]),
        ('discovery = { type = "dns", name = "app.dns", port = 8443 }\ntls = { sni = "x.test" }', FOUND, ["x.test"]),
        ('discovery = { type = "srv", name = "_app._tcp.dns" }\ntls = {}', NAMED, ["a.srv.internal"]),
        ('discovery = { type = "srv", name = "_app._tcp.dns" }\ntls = { sni = "x.test" }', NAMED, ["x.test"]),
        ('discovery = { type = "srv", name = "_app._tcp.dns" }', NAMED, [None]),
        ('discovery = { type = "file", path = "f.json" }\ntls = {}', FOUND, [None]),
        ('discovery = { type = "file", path = "f.json" }\ntls = { sni = "x.test" }', NAMED, ["a.srv.internal"]),
    ],
)
def test_the_name_that_is_asked_for(pool: str, found: Endpoint | None, names: list[str | None]) -> None:
    """Its own, the pool's, or the one that led to it; of an address, none."""
    resolved = resolve(read(f"{WEB}[pools.app]\n{pool}\n"), MACHINE, lambda _: ["10.0.0.9"])
    endpoints = json.loads(document(resolved, {} if found is None else {"app": [found]}).text)["pools"][0]["endpoints"]
    assert [endpoint["server_name"] for endpoint in endpoints] == names

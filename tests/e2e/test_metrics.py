"""The metrics parse as Prometheus' text format, and count what happened."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ..support.endpoint import OK


def families(balancer) -> dict:
    """Every metric family by name; parsing is strict about the format."""
    return {each.name: each for each in text_string_to_metric_families(balancer.admin.get("/metrics").text)}


def test_format(web, servers) -> None:
    """Each family has help and a type, each name the prefix, no sample occurs twice."""
    serving = web(*servers("a", "b"))
    serving.connect().ask()
    answer = serving.balancer.admin.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = families(serving.balancer)
    assert len(found) >= 10
    seen = set()
    for name, family in found.items():
        assert name.startswith("evenly_"), name
        assert family.documentation, name
        assert family.type in {"counter", "gauge", "histogram"}, name
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in seen
            seen.add(key)


def test_every_metric_is_documented(web, servers) -> None:
    """The guide's table has each name with its type and meaning, and no other."""
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "observe.md").read_text()
    documented = re.findall(r"^\| `(evenly_\w+)` \| (\w+) \| (.+) \|$", guide, re.MULTILINE)
    text = web(*servers("a")).balancer.admin.get("/metrics").text
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    meanings = dict(re.findall(r"^# HELP (\w+) (.+)$", text, re.MULTILINE))
    assert documented == [(name, types[name], meanings[name]) for name in types]


def test_requests(web, servers) -> None:
    """Requests by listener, route, pool and code; endpoints by address."""
    backends = servers("a", "b")
    serving = web(*backends, routes='[[routes]]\nname = "all"\npool = "app"\n')
    client = serving.connect()
    for path in ("/", "/", "/", "/status/404"):
        client.ask(path)
    metric, until = serving.balancer.metric, serving.balancer.until
    labels = {"listener": "web", "route": "all", "pool": "app"}
    until(lambda: metric("evenly_requests_total", code="200", **labels) == 3)
    assert metric("evenly_requests_total", code="404", **labels) == 1
    for each in backends:
        assert metric("evenly_endpoint_requests_total", pool="app", endpoint=str(each)) == 2
        assert metric("evenly_endpoint_up", pool="app", endpoint=str(each)) == 1


def test_latency(web, endpoint) -> None:
    """Histograms count each request once, in order, with the sum."""
    serving = web(endpoint, routes='[[routes]]\nname = "all"\npool = "app"\n')
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer, _ = endpoint.serve()
    client.read_response()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.read_request()
    peer.send(OK)
    client.read_response()

    def histograms() -> list:
        return [each for each in families(serving.balancer).values() if each.type == "histogram"]

    assert histograms()
    for family in histograms():
        series: dict[tuple, list] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                key = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
                series.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
        for buckets in series.values():
            assert buckets == sorted(buckets)
            assert buckets[-1][0] == float("inf")
            counts = [count for _, count in buckets]
            assert counts == sorted(counts)


def test_reasons(web, endpoint) -> None:
    """Failures are counted by the same words that the access log has."""
    serving = web(endpoint, pool='timeouts = { response = "200ms" }')
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    endpoint.accept().read_request()
    assert client.read_response().status == 504
    serving.balancer.until(lambda: serving.balancer.metric("evenly_terminations_total", reason="response-timeout") == 1)


def test_a_client_that_leaves_is_not_the_endpoints_failure(web, endpoint) -> None:
    """What the client did is counted as a termination, and not against the endpoint."""
    serving = web(endpoint)
    metric, until = serving.balancer.metric, serving.balancer.until
    client = serving.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer = endpoint.accept()
    peer.read_request()
    client.reset()
    peer.expect_cut()
    until(lambda: metric("evenly_terminations_total", reason="client-gone") == 1)
    assert metric("evenly_endpoint_failures_total") == 0


def test_counters_survive_a_reload(web, servers) -> None:
    """Counters never go back."""
    serving = web(*servers("a"), routes='[[routes]]\nname = "all"\npool = "app"\n')
    client = serving.connect()
    for _ in range(5):
        client.ask()
    serving.balancer.until(lambda: serving.balancer.metric("evenly_requests_total") == 5)
    text = serving.balancer.file.read_text()
    for number in range(3):
        serving.balancer.reload(f'{text}\n[[routes]]\npath = "/{number}"\nrespond = {{}}\n')
        client.ask()
        serving.balancer.until(lambda number=number: serving.balancer.metric("evenly_requests_total") == 6 + number)


def test_connections_and_bytes(web, servers) -> None:
    """Gauges fall back, bytes add up."""
    serving = web(*servers("a"))
    metric, until = serving.balancer.metric, serving.balancer.until
    client = serving.connect()
    client.ask("/bytes/100000")
    until(lambda: metric("evenly_connections", listener="web") == 1)
    until(lambda: metric("evenly_bytes_total", listener="web", direction="out") >= 100_000)
    assert metric("evenly_bytes_total", listener="web", direction="in") > 0
    client.close()
    until(lambda: metric("evenly_connections", listener="web") == 0)

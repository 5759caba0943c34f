"""How many requests a pool can take at once is found out from its response times, and it gets no more."""

import time

from ..support.load import Load

LIMIT = "adaptive_concurrency = { min_limit = 2, max_limit = 100 }"


def limit(serving) -> float:
    """The limit now."""
    return serving.balancer.metric("evenly_pool_concurrency_limit", pool="app")


def test_it_follows_what_the_endpoint_can_work_on(web, servers) -> None:
    """The endpoint works on four requests at once; what more it gets only waits there. The limit falls so far."""
    (server,) = servers("a")
    server.works_on(4, 0.02)
    serving = web(server, pool=f'{LIMIT}\nqueue = {{ size = 1000, timeout = "30s" }}')
    assert limit(serving) == 20
    with Load(serving.port, connections=2) as load:
        load.wait_for(200)
    with Load(serving.port, connections=60) as load:
        serving.balancer.until(lambda: limit(serving) < 16, deadline=30)
        load.wait_for(600, deadline=60)
        assert 4 <= limit(serving) < 16
        assert server.most_at_once <= 21
        server.most_at_once = 0
        load.wait_for(300, deadline=60)
        assert 4 <= server.most_at_once < 16
    load.assert_clean()
    told = serving.balancer.status()["pools"][0]["concurrency"]
    assert 0.019 < told["unloaded"] <= told["last"]
    assert told["unloaded"] == serving.balancer.metric("evenly_pool_response_time_seconds", pool="app", load="none")


def test_what_is_above_it_is_turned_away(web, servers) -> None:
    """Without a queue: 503 with its own reason, which says when to come back; and room again when a request ends."""
    running = servers("a")
    serving = web(*running, top='access_log = "-"', pool="adaptive_concurrency = { min_limit = 2, max_limit = 2 }")
    busy = [serving.connect() for _ in range(2)]
    for client in busy:
        client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    serving.balancer.until(lambda: running[0].requests["/hold"] == 2)
    client = serving.connect()
    answer = client.ask("/too-many")
    assert (answer.status, answer.one("retry-after")) == (503, "1")
    line = serving.balancer.access(target="/too-many")
    assert (line["reason"], line["attempts"]) == ("pool-limited", 0)
    assert serving.balancer.metric("evenly_pool_in_flight", pool="app") == 2
    running.release()
    assert [each.read_response().status for each in busy] == [200, 200]
    assert client.ask("/now").status == 200


def test_it_outlives_a_reload(web, servers) -> None:
    """What was found out is still true; other bounds hold at once."""
    (server,) = servers("a")
    server.works_on(2, 0.01)
    text_of = 'queue = {{ size = 1000, timeout = "30s" }}\nadaptive_concurrency = {{ min_limit = {least} }}'
    serving = web(server, pool=text_of.format(least=2))
    with Load(serving.port, connections=2) as load:
        load.wait_for(200)
    with Load(serving.port, connections=40) as load:
        serving.balancer.until(lambda: limit(serving) < 12, deadline=30)
        found = limit(serving)
        text = serving.balancer.file.read_text()
        serving.balancer.reload(text + "\n# the same\n")
        assert limit(serving) < 12, f"it was {found}"
        serving.balancer.reload(text.replace("min_limit = 2", "min_limit = 30"))
        began = time.monotonic()
        serving.balancer.until(lambda: limit(serving) >= 30)
        assert time.monotonic() - began < 5
    load.assert_clean()

"""What failing endpoints cost clients and the endpoints beside them: few errors, no storm of retries, a quick return.

Requests are counted, as far as it goes; `python -m bench.resilience` shows the same with more load, and for longer.
"""

import time

import pytest

from ..support.offered import Offered

RATE = 150
"""Requests a second: enough for shares to mean something, little enough for two cores that others use as well."""


def served(endpoints) -> int:
    """Requests that came to endpoints, retries among them."""
    return sum(each.served for each in endpoints)


def test_one_of_five_that_answers_503_half_of_the_time(web, servers) -> None:
    """Retries hide it until it is ejected: of a hundred clients none sees it, and endpoints get little more to do."""
    backends = servers("a", "b", "c", "d", "e")
    policy = 'outlier_detection = { interval = "500ms", success_rate_request_volume = 20, base_ejection_time = "60s" }'
    serving = web(*backends, pool=f'retry = {{ on = ["5xx"] }}\n{policy}')
    with Offered(serving.port, rate=RATE) as load:
        serving.balancer.until(lambda: served(backends) >= RATE)
        # What waits for its answer may still be served, and be tried again.
        answered, before = len(load.asked), served(backends)
        backends[2].fails_every = 2
        began = time.monotonic()
        serving.balancer.wait_log("endpoint", endpoint=str(backends[2]), to="ejected")
        serving.balancer.until(lambda: load.sent >= answered + 1_000, deadline=30)
    asked = load.between(began)
    failed = [each for each in asked if each.status != 200]
    assert len(failed) < 0.001 * len(asked), f"{len(failed)} of {len(asked)}: {failed[:5]}"
    assert not load.between(began + 3) or all(each.status == 200 for each in load.between(began + 3))
    assert served(backends) - before <= 1.2 * (load.sent - answered)


RETRIES = """
retry = { attempts = 3, on = ["5xx"] }
retry_budget = { share = "20%", min_per_second = 0 }
outlier_detection = true
"""

SPARED = """
circuit_breaker = { base_open_time = "1s", max_open_time = "1s" }
health_check = { type = "http", path = "/healthz", interval = "500ms", unhealthy_after = 2, healthy_after = 1 }
"""


@pytest.mark.parametrize("spared", ["", SPARED], ids=["retries", "circuit-and-checks"])
def test_an_outage_of_the_whole_pool(web, servers, spared: str) -> None:
    """Neither while it lasts nor on return do endpoints get a multiple of what is offered; and soon all is well."""
    backends = servers("a", "b", "c")
    serving = web(*backends, pool=RETRIES + spared)
    for each in backends if spared else []:
        serving.balancer.wait_log("endpoint", endpoint=str(each), to="healthy")
    with Offered(serving.port, rate=RATE) as load:
        serving.balancer.until(lambda: len(load.asked) >= RATE)
        assert {each.status for each in load.asked} == {200}
        for each in backends:
            each.fails_every, each.healthy = 1, False
        sent = load.sent
        serving.balancer.until(lambda: load.sent >= sent + 4 * RATE, deadline=30)
        # The calm before it has earned retries as well.
        assert served(backends) <= 1.2 * load.sent
        assert load.asked[-1].status == 503
        for each in backends:
            each.fails_every, each.healthy = 0, True
        # What waits for its answer may still be served, and be tried again.
        answered, before, back = len(load.asked), served(backends), time.monotonic()
        serving.balancer.until(lambda: load.sent >= answered + 6 * RATE, deadline=30)
        assert served(backends) - before <= 1.2 * (load.sent - answered) + 1
    late = load.between(back + 3)
    assert len(late) >= RATE
    assert all(each.status == 200 for each in late), [each for each in late if each.status != 200][:5]

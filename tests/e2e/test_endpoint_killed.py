"""An endpoint that is killed under load costs no idempotent request, and leaves the rotation in the stated time."""

import time
from contextlib import ExitStack

from ..support.load import Load
from ..support.server import ServerProcess

INTERVAL, UNHEALTHY_AFTER = 0.2, 2
CHECK = (
    f'health_check = {{ type = "http", path = "/healthz", interval = "{int(INTERVAL * 1000)}ms", '
    f'unhealthy_interval = "100ms", timeout = "1s", unhealthy_after = {UNHEALTHY_AFTER}, healthy_after = 1 }}'
)


def test_sigkill(web) -> None:
    """No client sees it."""
    with ExitStack() as running:
        victim, *others = [running.enter_context(ServerProcess(name)) for name in ("victim", "b", "c")]
        serving = web(victim, *others, pool=CHECK)
        for each in (victim, *others):
            serving.balancer.wait_log("endpoint", endpoint=str(each), to="healthy")
        with Load(serving.port, connections=16) as load:
            load.wait_for(500)
            killed = time.monotonic()
            victim.kill()
            serving.balancer.wait_log("endpoint", endpoint=str(victim), to="unhealthy")
            out = time.monotonic() - killed
            load.wait_for(500)
        load.assert_clean()
        # The interval may be 10 % longer by jitter; a second is a busy machine's share.
        assert out < INTERVAL * 1.1 * UNHEALTHY_AFTER + 1.0
        assert load.bodies["b"] > 0
        assert load.bodies["victim"] > 0

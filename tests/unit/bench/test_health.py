"""The counters of health checks, as the metrics show them."""

import re

import pytest

from bench.peers import fill
from bench.rows import health
from bench.rows.table import ENDPOINTS, checked

METRICS = """# TYPE evenly_endpoint_health_checks_total counter
evenly_endpoint_health_checks_total{pool="app",endpoint="127.1.0.1:80",result="passed"} 12
evenly_endpoint_health_checks_total{pool="app",endpoint="127.1.0.1:80",result="failed"} 1
evenly_endpoint_health_checks_total{pool="app",endpoint="127.1.0.2:80",result="passed"} 11
evenly_endpoint_health_checks_total{pool="app",endpoint="127.1.0.2:80",result="failed"} 0
evenly_endpoint_health_check_duration_seconds{pool="app",endpoint="127.1.0.2:80"} 0.001
"""


def test_counters_are_summed_over_endpoints():
    assert health.counted(METRICS) == (23, 1)


def test_metrics_without_checks_are_refused():
    with pytest.raises(ValueError, match="no counters"):
        health.counted("evenly_requests_total 5\n")


def test_every_endpoint_has_an_address_of_its_own():
    assert len(set(re.findall(r'"(127\.1\.\d+\.\d+):80"', checked()))) == ENDPOINTS


def test_the_port_is_filled_in_when_it_is_known():
    assert "port = 81 }" in fill(checked(), {"CHECKED": "81"})

"""The output of wrk and h2load, as they print it."""

import pytest

from bench.load import parse

WRK = """Running 1s test @ http://127.0.0.1:20000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.10ms    1.25ms  20.43ms   91.21%
    Req/Sec    31.20k     2.31k   35.01k    70.00%
  Latency Distribution
     50%    1.87ms
     75%    2.40ms
     90%    3.01ms
     99%  950.00us
  31203 requests in 1.00s, 7.11MB read
{extra}Requests/sec:  31201.11
Transfer/sec:      7.11MB
"""

H2LOAD = """starting benchmark...
spawning thread #0: 16 total client(s). 2000 total requests
Application protocol: http/1.1
progress: 100% done

finished in 215.09ms, 9298.43 req/s, 1.88MB/s
requests: 2000 total, 2000 started, 2000 done, 1990 succeeded, 10 failed, 0 errored, 0 timeout
status codes: 1990 2xx, 0 3xx, 4 4xx, 6 5xx
"""


@pytest.mark.parametrize(
    ("text", "seconds"), [("950.00us", 0.00095), ("2.10ms", 0.0021), ("1.00s", 1.0), ("1.5m", 90.0), ("2h", 7200.0)]
)
def test_durations(text, seconds):
    assert parse.duration(text) == pytest.approx(seconds)


def test_a_duration_without_a_unit_is_refused():
    with pytest.raises(ValueError, match="not a duration"):
        parse.duration("12")


def test_wrk():
    load = parse.wrk(WRK.format(extra=""))
    assert (load.requests, load.failures, load.seconds) == (31203, 0, 1.0)
    assert load.rate == 31203.0
    assert load.latency == {"50": pytest.approx(0.00187), "99": pytest.approx(0.00095)}


def test_wrk_counts_socket_errors_and_refusals():
    extra = "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\n"
    assert parse.wrk(WRK.format(extra=extra)).failures == 15


def test_h2load_counts_what_is_not_2xx():
    load = parse.h2load(H2LOAD)
    assert (load.requests, load.failures) == (1990, 20)
    assert load.seconds == pytest.approx(0.21509)


@pytest.mark.parametrize("read", [parse.wrk, parse.h2load])
def test_other_text_is_no_report(read):
    with pytest.raises(ValueError, match="not a report"):
        read("unable to connect to 127.0.0.1:1 Connection refused\n")

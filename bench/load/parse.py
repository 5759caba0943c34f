"""What wrk and h2load print, as numbers. Pure."""

import re
from dataclasses import dataclass

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Load:
    """What a load generator saw: whole requests, failed ones, seconds, and seconds of latency by percentile."""

    requests: int
    failures: int
    seconds: float
    latency: dict[str, float]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds else 0.0


def duration(text: str) -> float:
    """Read ``12.30us``, ``1.5ms``, ``2.00s``, ``1.2m`` as seconds."""
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", text)
    if match is None:
        raise ValueError(f"not a duration: {text!r}")
    return float(match.group(1)) * _SECONDS[match.group(2)]


def wrk(output: str) -> Load:
    """Read the report of ``wrk --latency``. Responses other than 2xx and 3xx and socket errors count as failures."""
    total = re.search(r"(\d+) requests in ([\d.]+[a-z]+),", output)
    if total is None:
        raise ValueError(f"not a report of wrk: {output!r}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    failures = sum(map(int, errors.groups())) if errors else 0
    return Load(
        requests=int(total.group(1)),
        failures=failures + (int(refused.group(1)) if refused else 0),
        seconds=duration(total.group(2)),
        latency={name: duration(value) for name, value in re.findall(r"^\s+(50|99)%\s+(\S+)$", output, re.MULTILINE)},
    )


def h2load(output: str) -> Load:
    """Read the report of h2load, which has no percentiles."""
    total = re.search(r"requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed", output)
    took = re.search(r"finished in ([\d.]+[a-z]+),", output)
    refused = re.search(r"status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    if total is None or took is None or refused is None:
        raise ValueError(f"not a report of h2load: {output!r}")
    failures = int(total.group(3)) + sum(map(int, refused.groups()))
    return Load(int(total.group(2)), failures, duration(took.group(1)), {})

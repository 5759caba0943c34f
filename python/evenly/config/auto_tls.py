"""`tls = "auto"` in the long form: a certificate over ACME for each host of a listener's routes. Pure.

It happens before anything is validated, so that what follows knows nothing of it: names, checks and `--expand` see
certificates as if somebody had written them down.
"""

from collections.abc import Iterator, Mapping
from typing import Any

AUTO = "auto"


def written_out(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the file means; whatever is not as expected stays, for validation to say."""
    listeners, certificates = data.get("listeners"), data.get("certificates", {})
    if not isinstance(listeners, dict) or not isinstance(certificates, dict) or AUTO in certificates:
        return data
    written: dict[str, Any] = {}
    added: dict[str, Any] = {}
    for name, listener in listeners.items():
        listed = _listed(listener)
        hosts = list(dict.fromkeys(_hosts(data.get("routes"), name))) if AUTO in listed else []
        # Without a host it stays as it is, and is refused as a certificate that nobody knows.
        if hosts:
            added |= {_name(host): {"acme": {"hosts": [host]}} for host in hosts}
            named = [each for entry in listed for each in (map(_name, hosts) if entry == AUTO else [entry])]
            tls = listener["tls"] if isinstance(listener["tls"], dict) else {}
            written[name] = listener | {"tls": tls | {"certificates": list(dict.fromkeys(named))}}
    # A certificate that the file has under this name is the one that is meant.
    return {**data, "listeners": listeners | written, "certificates": added | certificates} if written else data


def _listed(listener: object) -> list[Any]:
    """The certificates that an HTTP listener names."""
    if not isinstance(listener, dict) or listener.get("protocol", "http") != "http":
        return []
    tls = listener.get("tls")
    names = tls.get("certificates", []) if isinstance(tls, dict) else tls
    return names if isinstance(names, list) else [names]


def _hosts(routes: object, listener: str) -> Iterator[str]:
    """The hosts of a listener's routes, in file order."""
    for route in routes if isinstance(routes, list) else []:
        if not isinstance(route, dict):
            continue
        own, hosts = route.get("listeners", [listener]), route.get("host", [])
        if listener in (own if isinstance(own, list) else [own]):
            listed = hosts if isinstance(hosts, list) else [hosts]
            yield from (each.lower() for each in listed if isinstance(each, str))


def _name(host: str) -> str:
    """Of a host's certificate. No host has an underscore, so that no two get one name."""
    return host.replace("*.", "wildcard_", 1)

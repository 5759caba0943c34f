"""`tls = "auto"` in the long form: a certificate over ACME for each host of a listener's routes. Pure.

It happens before anything is validated, so that what follows knows nothing of it: names, checks and `--expand` see
certificates as if somebody had written them down.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from .problems import Place, dotted

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
        hosts = list(dict.fromkeys(host for host, _ in _hosts(data.get("routes"), name))) if AUTO in listed else []
        # Without a host it stays as it is, and is refused as a certificate that nobody knows.
        if hosts:
            added |= {_name(host): {"acme": {"hosts": [host]}} for host in hosts}
            named = [each for entry in listed for each in (map(_name, hosts) if entry == AUTO else [entry])]
            tls = listener["tls"] if isinstance(listener["tls"], dict) else {}
            written[name] = listener | {"tls": tls | {"certificates": list(dict.fromkeys(named))}}
    # A certificate that the file has under this name is the one that is meant.
    return {**data, "listeners": listeners | written, "certificates": added | certificates} if written else data


def cause(data: Mapping[str, Any], place: Place) -> tuple[Place, str] | None:
    """What in a file has brought about a place in a certificate that was written out, and what to say of it besides.

    That is `auto` itself, or the host if the place is one. `None` for places that the file has.
    """
    certificates, listeners = data.get("certificates", {}), data.get("listeners")
    if len(place) < 2 or place[0] != "certificates" or not isinstance(listeners, dict):
        return None
    if not isinstance(certificates, dict) or place[1] in certificates or AUTO in certificates:
        return None
    for name, listener in listeners.items():
        found = _hosts(data.get("routes"), name) if AUTO in _listed(listener) else ()
        for host, at in found:
            if _name(host) == place[1]:
                auto = ("listeners", name, "tls", *_within(listener["tls"]))
                return (at, f'; "auto" in `{dotted(auto)}` has one issued for it') if "hosts" in place else (auto, "")
    return None


def _within(tls: object) -> Place:
    """Where `auto` stands in the `tls` of a listener."""
    names, steps = (tls.get("certificates"), ("certificates",)) if isinstance(tls, dict) else (tls, ())
    return (*steps, names.index(AUTO)) if isinstance(names, list) else steps


def _listed(listener: object) -> list[Any]:
    """The certificates that an HTTP listener names."""
    if not isinstance(listener, dict) or listener.get("protocol", "http") != "http":
        return []
    tls = listener.get("tls")
    names = tls.get("certificates", []) if isinstance(tls, dict) else tls
    return names if isinstance(names, list) else [names]


def _hosts(routes: object, listener: str) -> Iterator[tuple[str, Place]]:
    """The hosts of a listener's routes, in file order, and where each stands."""
    for index, route in enumerate(routes if isinstance(routes, list) else []):
        if not isinstance(route, dict):
            continue
        own, hosts = route.get("listeners", [listener]), route.get("host", [])
        if listener in (own if isinstance(own, list) else [own]):
            place: Place = ("routes", index, "host")
            listed = enumerate(hosts) if isinstance(hosts, list) else [(None, hosts)]
            for at, each in listed:
                if isinstance(each, str):
                    yield each.lower(), place if at is None else (*place, at)


def _name(host: str) -> str:
    """Of a host's certificate. No host has an underscore, so that no two get one name."""
    return host.replace("*.", "wildcard_", 1)

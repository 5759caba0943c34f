"""The control plane's own metrics, in Prometheus' text format, behind those of the packet path. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from evenly.control.status import CertificateStatus
from evenly.discovery.watcher import Watcher

Sample = tuple[dict[str, str], float]


def render(
    watchers: Iterable[Watcher], edits: int, unsaved: Mapping[str, bool], certificates: Sequence[CertificateStatus] = ()
) -> str:
    """What discovery, edits, files of `state_dir` and certificates have to say."""
    watched = list(watchers)
    lines = list(_family("evenly_edits", "gauge", "Edits at run time that the file does not have.", [({}, edits)]))
    text = "1 while a file of `state_dir` lacks what could not be written to it, which is tried again."
    lines += _family("evenly_state_unsaved", "gauge", text, [({"file": name}, on) for name, on in unsaved.items()])
    of_certificates = (_certificates, _revocations, _of_issuers_and_clients)
    told = (*_discovery(watched), *(each for of in of_certificates for each in of(certificates)))
    for name, kind, text, samples in told:
        if samples:
            lines += _family(name, kind, text, samples)
    return "".join(f"{line}\n" for line in lines)


def _certificates(certificates: Sequence[CertificateStatus]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    yield (
        "evenly_certificate_expiry_timestamp_seconds",
        "gauge",
        "When a certificate expires, in unix seconds.",
        [({"certificate": each.name}, each.expires) for each in certificates if each.origin != "placeholder"],
    )
    yield (
        "evenly_certificate_placeholder",
        "gauge",
        "1 while clients are shown a placeholder, because no certificate has been issued yet.",
        [
            ({"certificate": each.name}, float(each.origin == "placeholder"))
            for each in certificates
            if each.renewal is not None
        ],
    )
    renewals = [(each.name, each.renewal) for each in certificates if each.renewal is not None]
    yield (
        "evenly_certificate_renewals_total",
        "counter",
        "Certificates that issuers were asked for, by what came of it: issued or failed.",
        [
            ({"certificate": name, "issuer": issuer, "outcome": outcome}, count)
            for name, renewal in renewals
            for issuer, outcomes in renewal.outcomes.items()
            for outcome, count in outcomes.items()
        ],
    )
    yield (
        "evenly_certificate_renewal_failures",
        "gauge",
        "Tries to get a certificate issued that have failed in a row; 0 if the last did not.",
        [({"certificate": name}, renewal.failures) for name, renewal in renewals],
    )
    yield (
        "evenly_certificate_next_renewal_timestamp_seconds",
        "gauge",
        "When an issuer is asked for a certificate next, in unix seconds.",
        [({"certificate": name}, renewal.next_try) for name, renewal in renewals if renewal.next_try is not None],
    )
    yield (
        "evenly_certificate_replacement_failed",
        "gauge",
        "1 while what has replaced the files of certificates cannot be used, and the ones before stay.",
        [({"certificate": each.name}, float(bool(each.problem))) for each in certificates if each.origin == "files"],
    )


def _of_issuers_and_clients(certificates: Sequence[CertificateStatus]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    """What issuers say of certificates, and which ones clients have asked for."""
    stapled = [(each.name, each.ocsp) for each in certificates if each.ocsp is not None]
    yield (
        "evenly_certificate_ocsp_expiry_timestamp_seconds",
        "gauge",
        "Until when the answer is good that is stapled to a certificate, in unix seconds; 0 without one.",
        [({"certificate": name}, each.until or 0.0) for name, each in stapled],
    )
    yield (
        "evenly_certificate_ocsp_failures",
        "gauge",
        "Questions to the issuer in a row that got no good answer (OCSP); 0 if the last did.",
        [({"certificate": name}, each.failures) for name, each in stapled],
    )
    yield (
        "evenly_certificate_revoked",
        "gauge",
        "1 while the issuer says that a certificate is revoked (OCSP).",
        [({"certificate": name}, float(each.state == "revoked")) for name, each in stapled],
    )
    on_demand = [(each.name, each.on_demand) for each in certificates if each.on_demand is not None]
    yield (
        "evenly_certificate_on_demand_hosts",
        "gauge",
        "Hosts that have a certificate on demand.",
        [({"certificate": name}, each.hosts) for name, each in on_demand],
    )
    yield (
        "evenly_certificate_on_demand_total",
        "counter",
        "New hosts that clients asked for, by what came of it: issued, refused, failed, unanswered or limited.",
        [
            ({"certificate": name, "outcome": outcome}, count)
            for name, each in on_demand
            for outcome, count in each.outcomes.items()
        ],
    )


def _revocations(certificates: Sequence[CertificateStatus]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    yield (
        "evenly_certificate_revocation_pending",
        "gauge",
        "1 while a certificate is still to be revoked, as somebody has asked for.",
        [
            ({"certificate": each.name}, float(each.renewal.revocation is not None))
            for each in certificates
            if each.renewal is not None
        ],
    )


def _discovery(watched: list[Watcher]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    of = [({"pool": watcher.pool, "type": watcher.options.type}, watcher.standing) for watcher in watched]
    yield (
        "evenly_discovery_up",
        "gauge",
        "1 if a pool's source answers, 0 while its last good endpoints stand in for it.",
        [(labels, float(not standing.error and standing.answers > 0)) for labels, standing in of],
    )
    yield (
        "evenly_discovery_endpoints",
        "gauge",
        "Endpoints that a pool's source has found, as of its last good answer.",
        [(labels, len(standing.known.endpoints) if standing.known else 0) for labels, standing in of],
    )
    yield (
        "evenly_discovery_left_out_endpoints",
        "gauge",
        "Endpoints of the last answer that were not taken: outside of networks, beyond max_endpoints, or unusable.",
        [(labels, standing.left_out) for labels, standing in of],
    )
    yield (
        "evenly_discovery_last_answer_timestamp_seconds",
        "gauge",
        "When a pool's source gave its last good answer, in unix seconds; 0 if never.",
        [(labels, standing.known.answered if standing.known else 0) for labels, standing in of],
    )
    yield (
        "evenly_discovery_changes_total",
        "counter",
        "Answers that changed a pool's endpoints.",
        [(labels, standing.changes) for labels, standing in of],
    )
    yield (
        "evenly_discovery_failures_total",
        "counter",
        "Questions to a pool's source that got no good answer, by reason.",
        [
            (labels | {"reason": reason}, count)
            for labels, standing in of
            for reason, count in sorted(standing.failures.items())
        ],
    )


def _family(name: str, kind: str, text: str, samples: list[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        # Names of pools hold nothing that would need an escape.
        inside = ",".join(f'{key}="{label}"' for key, label in labels.items())
        yield f"{name}{{{inside}}} {value:.10g}" if inside else f"{name} {value:.10g}"

"""What the packet path reports, as types: the one description that the admin API, its OpenAPI and the CLI share.

The shapes are those of `_native.pyi`. A field that one of them does not know is an error, so the sides cannot drift
apart unnoticed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Phase(StrEnum):
    """Where the process is in its life."""

    SERVING = "serving"
    DRAINING = "draining"


class OperatorWeight(StrEnum):
    """What an operator may want in place of a number."""

    CONFIGURED = "configured"


class OperatorState(StrEnum):
    """What an operator can set an endpoint to; health is judged beside it."""

    READY = "ready"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"


EndpointState = Literal["starting", "healthy", "unhealthy", "ejected", "draining", "maintenance"]


class Report(BaseModel):
    """What every report has: it does not change, and has no field that its reader does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Keeping(Report):
    """What becomes of something that was set at run time."""

    kept: bool = Field(description="Whether it outlives the process; needs `state_dir`.")
    unsaved: str = Field(description="Why it could not be written to `state_dir`, which is tried again; else empty.")


class EndpointTlsStatus(Report):
    """TLS with an endpoint."""

    handshakes: int = Field(description="Those that ended well, since the process started.")
    resumed: int = Field(description="Of these, how many went on with an earlier session.")
    trouble: str | None = Field(description="Why the last handshake failed, if none has ended well since.")


class CircuitStatus(Report):
    """A circuit breaker, of a pool or of an endpoint."""

    state: Literal["closed", "half-open", "open"]
    reason: str = Field(description="Why it is not closed; else empty.")
    open_for: float = Field(description="Seconds until an open one is half-open; else 0.")
    requests: int = Field(description="Requests that count now: those of its window.")
    failed: int = Field(description="Of these, how many failed.")
    in_flight: int | None = Field(
        description="Requests (tcp: connections) of a pool that are under way, where they are limited."
    )
    max_requests: int | None = Field(description="How many may be.")


class EndpointStatus(Report):
    """One endpoint of a pool."""

    address: str
    weight: int = Field(description="Relative share of the pool's traffic; 0 gets none.")
    backup: bool = Field(description="Used only when no endpoint that is not a backup can be.")
    zone: str | None = Field(description="The failure domain that it is in.")
    priority: int = Field(description="0 is asked first; a higher one gets what lower ones lack.")
    evacuated: bool = Field(description="Whether its zone is evacuated: then it is used only when nobody else can be.")
    share: int = Field(
        description="Percent of its weight: less than 100 in slow start, probation and while it is slow."
    )
    state: EndpointState
    reason: str = Field(description="Why it is not healthy, or gets less than its weight; else empty.")
    circuit: CircuitStatus | None = Field(None, description="Its circuit breaker, if its pool's endpoints have one.")
    since: float = Field(description="When it entered this state, in unix seconds; 0 without health checks.")
    in_flight: int = Field(description="Requests (tcp: connections) under way.")
    requests: int = Field(description="Requests (tcp: connections) since the process started.")
    failures: int = Field(description="Of these, how many the endpoint failed.")
    tls: EndpointTlsStatus | None = Field(None, description="Handshakes with it, where its pool speaks TLS.")


class DiscoveryState(StrEnum):
    """How it is going with a pool's source."""

    WAITING = "waiting"
    ANSWERING = "answering"
    FAILING = "failing"


class DiscoveryStatus(Report):
    """Where a pool's endpoints come from, and how that is going."""

    source: str = Field(description="What is asked.")
    state: DiscoveryState = Field(
        description="`waiting` for a first answer, `answering`, or `failing`: then the last good endpoints stay."
    )
    endpoints: int = Field(description="Endpoints of the last good answer.")
    answered: float = Field(description="When it gave that answer, in unix seconds; 0 if never.")
    changed: float = Field(description="When its answer was last another, in unix seconds; 0 if never yet.")
    error: str = Field(description="Why it gives no answer now; empty if it does.")
    failing_since: float = Field(description="Since when, in unix seconds; 0 if it answers.")
    left_out: int = Field(description="Endpoints of the last answer not taken: beyond its bounds, or unusable.")


class AffinityStatus(Report):
    """How a pool's clients are known again."""

    by: str = Field(description="Kind and name, as in the configuration: `cookie evenly`.")
    entries: int | None = Field(description="Clients that are remembered; null where nothing is.")


class LevelStatus(Report):
    """Endpoints of one priority, in the node's zone or in others, and what they get."""

    priority: int
    zone: Literal["local", "other", "any"] = Field(description="As seen from the node; `any` when it is in no zone.")
    backup: bool
    usable_weight: int = Field(description="Weight of the endpoints that can be picked now.")
    weight: int = Field(description="Weight of all of them.")
    share: float = Field(description="Share of the pool's traffic, from 0 to 1.")


class ConcurrencyStatus(Report):
    """How many requests a pool can take at once, as far as that was found out."""

    limit: int = Field(description="How many may be under way.")
    in_flight: int = Field(description="How many are.")
    unloaded: float | None = Field(description="Median response time without load, in seconds; null if not known yet.")
    last: float | None = Field(description="The same as of now.")


class QueueStatus(Report):
    """Requests that find every endpoint of a pool full."""

    waiting: int = Field(description="How many wait now.")
    size: int = Field(description="How many may.")
    waited: int = Field(description="How many ever had to, since the process started.")
    timeouts: int = Field(description="Of these, how many waited until the deadline.")
    full: int = Field(description="How many found no place to wait.")


class RetryStatus(Report):
    """Tries of a pool's requests after a first one that failed."""

    causes: dict[str, int] = Field(description="How many, by what had failed.")
    refused: int = Field(description="Not made because the pool's retry budget was used up.")


class HedgeStatus(Report):
    """Second tries of a pool's requests, beside first ones that take long."""

    delay: float = Field(description="After how many seconds one begins, as of the last request; 0 if not known.")
    sent: int = Field(description="How many began.")
    won: int = Field(description="Of these, how many answered first.")
    refused: int = Field(description="Not made because the pool's retry budget was used up.")


class PoolStatus(Report):
    """A pool and its endpoints."""

    name: str
    balance: str = Field(description="The balancer.")
    affinity: AffinityStatus | None = Field(None, description="How its clients are known again, if they are.")
    fallback: str | None = Field(description="The pool that takes over while no endpoint of this one can be picked.")
    serving: str = Field("healthy", description="Which of its endpoints get traffic, or why none does.")
    levels: list[LevelStatus] = Field(description="By priority and zone; empty when all endpoints are alike in that.")
    circuit: CircuitStatus | None = Field(None, description="Its circuit breaker, if it has one.")
    concurrency: ConcurrencyStatus | None = Field(None, description="Its adaptive limit, if it has one.")
    queue: QueueStatus | None = Field(None, description="Its queue, if it has one.")
    grpc: dict[str, int] | None = Field(None, description="Calls of gRPC that ended, by status; null if none did.")
    retries: RetryStatus = Field(RetryStatus(causes={}, refused=0), description="Tries after failed ones.")
    hedge: HedgeStatus | None = Field(None, description="Tries beside slow ones, if it hedges.")
    endpoints: list[EndpointStatus]
    discovery: DiscoveryStatus | None = Field(None, description="Its source, if it has one; added by the process.")


class MirrorStatus(Report):
    """Copies of a route's requests."""

    route: str
    pool: str = Field(description="Where the copies go.")
    copies: dict[str, int] = Field(description="Requests drawn for it, by what became of the copy.")
    compared: dict[str, int] | None = Field(
        description="Answers to copies, by the first difference from the client's; null where nothing is compared."
    )


class TlsStatus(Report):
    """TLS towards a listener's clients."""

    handshakes: int = Field(description="Handshakes that ended well, since the process started.")
    resumed: int = Field(description="Of these, how many went on with an earlier session.")
    failures: int = Field(description="Handshakes that failed.")


class Http2Status(Report):
    """HTTP/2 with a listener's clients."""

    connections: int = Field(description="Connections that spoke it, since the process started.")
    ended_streams: dict[str, int] = Field(description="Streams ended because of what the client did, by reason.")
    ended_connections: dict[str, int] = Field(description="Connections ended because of that, by reason.")


class Http3Status(Http2Status):
    """HTTP/3 with a listener's clients; reasons are error codes."""

    migrations: int = Field(description="Changes of clients' addresses that their connections survived.")
    retries: int = Field(description="Clients that had to show that they are where they say.")
    lost_packets: int = Field(description="Packets that were lost here.")


class RevocationStatus(Report):
    """A certificate that is still to be revoked, once there is another in its place."""

    serial: str | None = Field(description="Its serial number, hexadecimal; null while the store cannot be read.")
    issuer: str | None = Field(description="Who is to revoke it; null while the store cannot be read.")
    next_try: float | None = Field(description="When that is tried next, in unix seconds; null while it is tried.")
    error: str = Field(description="Why the last try failed; empty if there was none yet.")
    failures: int = Field(description="Tries that failed in a row.")


class RenewalStatus(Report):
    """A certificate over ACME: who issues it, and how that is going."""

    issuer: str | None = Field(description="Who issued the one that is there; null if none is.")
    issuers: list[str] = Field(description="Who is asked, in this order.")
    challenge: str = Field(description="How its hosts are shown to be ours.")
    renewing: bool = Field(description="Whether an issuer is being asked right now.")
    next_try: float | None = Field(
        description="When one is asked next, in unix seconds; null if that is not known yet."
    )
    why: str = Field(description="What the next try is for.")
    error: str = Field(description="Why the last try failed; empty if it did not.")
    failures: int = Field(description="Tries that failed in a row.")
    outcomes: dict[str, dict[str, int]] = Field(
        description="By issuer, certificates `issued` and tries `failed` since the process started."
    )
    revocation: RevocationStatus | None = Field(
        None, description="The one before it, if that is still to be revoked; null if none is."
    )


class AccountStatus(Report):
    """An account with an issuer of certificates."""

    issuer: str
    url: str = Field(description="Where the issuer knows us.")
    thumbprint: str = Field(description="Of the account's key (RFC 7638).")


class StapleStatus(Report):
    """What a certificate's issuer says of it being revoked (OCSP), which is shown to clients with it."""

    state: Literal["good", "revoked", "unknown"] = Field(
        description="`good` while there is an answer to be shown; `unknown` without one."
    )
    until: float | None = Field(description="Until when the answer is good, in unix seconds; null without one.")
    next_try: float | None = Field(description="When the issuer is asked next, in unix seconds; null if it cannot be.")
    error: str = Field(description="Why the last question got no good answer; empty if it did.")
    failures: int = Field(description="Questions in a row that got none.")
    required: bool = Field(description="Whether clients refuse the certificate without an answer (must-staple).")


class OnDemandStatus(Report):
    """Certificates for hosts that clients ask for."""

    hosts: int = Field(description="Hosts that have one.")
    max_hosts: int = Field(description="How many may.")
    outcomes: dict[str, int] = Field(
        description="New hosts that were asked for, since the process started: `issued`; `refused` by the service that "
        "is asked; `failed` with the issuers; `unanswered` by the service; `limited` by a bound."
    )


class CertificateStatus(Report):
    """A certificate that can be shown to clients."""

    name: str
    names: list[str] = Field(description="Host names and addresses that it is for.")
    subject: str
    issuer: str
    key: str = Field(description="Kind and size of its key.")
    begins: float = Field(description="Since when it is valid, in unix seconds.")
    expires: float = Field(description="Until when, in unix seconds.")
    days_left: int = Field(description="Whole days until then; negative if it has expired.")
    listeners: list[str] = Field(description="Listeners that show it.")
    pools: list[str] = Field([], description="Pools whose endpoints are shown it.")
    problem: str = Field(description="Why what has replaced its files is not used; empty if all is well.")
    origin: Literal["files", "acme", "placeholder", "self-signed"] = Field(
        "files",
        description="Where it comes from; a `placeholder` vouches for itself until one is issued, and "
        "`self-signed` is for development.",
    )
    renewal: RenewalStatus | None = Field(None, description="How it is renewed, if that happens over ACME.")
    ocsp: StapleStatus | None = Field(
        None, description="Whether its issuer says that it is not revoked; null if nobody is asked."
    )
    on_demand: OnDemandStatus | None = Field(None, description="What is issued on its demand, if anything.")


class ListenerStatus(Report):
    """Where clients connect."""

    name: str
    protocol: str
    bind: list[str]
    connections: int = Field(description="Client connections that are open.")
    accepted: int = Field(description="Client connections since the process started.")
    requests: int = Field(description="Requests since the process started; for tcp, connections.")
    tls: TlsStatus | None = Field(None, description="Handshakes, where TLS is terminated.")
    http2: Http2Status | None = Field(None, description="HTTP/2, where it is spoken.")
    http3: Http3Status | None = Field(None, description="HTTP/3, where it is spoken.")


class ZoneStatus(Report):
    """A failure domain of endpoints."""

    name: str
    endpoints: int
    healthy: int
    evacuated_until: float | None = Field(description="When it comes back, in unix seconds; null if not evacuated.")


class SplitStatus(Report):
    """How a route splits its requests between pools."""

    route: str
    weights: dict[str, int] = Field(description="The weights that count: the operator's, else the file's.")
    file: dict[str, int] = Field(description="The weights in the file.")


class DataplaneStatus(Report):
    """The packet path as a whole."""

    generation: int = Field(description="Counts configurations; every reload, edit or discovery that applies adds one.")
    workers: int
    connections: int
    requests: int
    zone: str | None = Field(description="The node's.")
    zones: list[ZoneStatus]
    mirrors: list[MirrorStatus] = Field([], description="Copies of routes' requests, by route.")
    listeners: list[ListenerStatus]
    pools: list[PoolStatus]


class Status(DataplaneStatus):
    """The process: what the packet path reports, and what only the control plane knows."""

    phase: Phase
    version: str
    pid: int
    started: float = Field(description="When the process started serving, in unix seconds.")
    splits: list[SplitStatus] = Field(description="Routes that split their requests.")
    configuration: str = Field(description="The configuration's file, or the command line it came from.")
    renewals_failing: dict[str, str] = Field(
        {}, description="Certificates whose last try to get one issued has failed, and why."
    )
    edits: int = Field(0, description="Edits over the API that the file does not have.")


class DocumentWarning(Report):
    """Something in the configuration that works but is probably not meant."""

    path: str
    message: str


class ChangedNames(Report):
    """Names of what a reload added, removed and changed."""

    added: list[str] = []
    removed: list[str] = []
    changed: list[str] = []


class Changes(Report):
    """What a reload did."""

    generation: int
    listeners: ChangedNames = ChangedNames()
    pools: ChangedNames = ChangedNames()
    routes: ChangedNames = ChangedNames()
    process: list[str] = Field([], description="Options of the process itself that changed.")
    warnings: list[DocumentWarning] = []


class Edited(Changes, Keeping):
    """What an edit did."""


class EndpointSet(EndpointStatus, Keeping):
    """An endpoint after an operator has set something of it."""


class SplitSet(SplitStatus, Keeping):
    """A split after its weights were set or cleared."""


class ZoneSet(ZoneStatus, Keeping):
    """A zone after it was evacuated or taken back."""

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


class OperatorState(StrEnum):
    """What an operator can set an endpoint to; health is judged beside it."""

    READY = "ready"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"


EndpointState = Literal["starting", "healthy", "unhealthy", "draining", "maintenance"]


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EndpointStatus(_Report):
    """One endpoint of a pool."""

    address: str
    weight: int = Field(description="Relative share of the pool's traffic; 0 gets none.")
    backup: bool = Field(description="Used only when no endpoint that is not a backup can be.")
    state: EndpointState
    reason: str = Field(description="Why it is not healthy; empty when it is.")
    since: float = Field(description="When it entered this state, in unix seconds; 0 without health checks.")
    in_flight: int = Field(description="Requests (tcp: connections) under way.")
    requests: int = Field(description="Requests (tcp: connections) since the process started.")
    failures: int = Field(description="Of these, how many the endpoint failed.")


class PoolStatus(_Report):
    """A pool and its endpoints."""

    name: str
    balance: str = Field(description="The balancer.")
    endpoints: list[EndpointStatus]


class ListenerStatus(_Report):
    """Where clients connect."""

    name: str
    protocol: str
    bind: list[str]
    connections: int = Field(description="Client connections that are open.")
    accepted: int = Field(description="Client connections since the process started.")
    requests: int = Field(description="Requests since the process started; for tcp, connections.")


class DataplaneStatus(_Report):
    """The packet path as a whole."""

    generation: int = Field(description="Counts configurations; every reload that applies adds one.")
    workers: int
    connections: int
    requests: int
    listeners: list[ListenerStatus]
    pools: list[PoolStatus]


class Status(DataplaneStatus):
    """The process: what the packet path reports, and what only the control plane knows."""

    phase: Phase
    version: str
    pid: int
    started: float = Field(description="When the process started serving, in unix seconds.")
    configuration: str = Field(description="The configuration's file, or the command line it came from.")


class DocumentWarning(_Report):
    """Something in the configuration that works but is probably not meant."""

    path: str
    message: str


class ChangedNames(_Report):
    """Names of what a reload added, removed and changed."""

    added: list[str] = []
    removed: list[str] = []
    changed: list[str] = []


class Changes(_Report):
    """What a reload did."""

    generation: int
    listeners: ChangedNames = ChangedNames()
    pools: ChangedNames = ChangedNames()
    routes: ChangedNames = ChangedNames()
    warnings: list[DocumentWarning] = []

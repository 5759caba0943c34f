"""Certificates: what they are for, and how long they last; and the accounts with their issuers."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from evenly.control.status import AccountStatus, CertificateStatus
from evenly.control.supervisor import Supervisor


class Renew(BaseModel):
    """How to renew."""

    dry_run: bool = Field(
        False, description="Whether to end when the issuer has seen that the hosts are ours: nothing is issued."
    )


REASONS = {"unspecified": 0, "key-compromise": 1, "superseded": 4, "cessation-of-operation": 5}
"""Those of RFC 5280, section 5.3.1, that issuers take from subscribers."""


class Revoke(BaseModel):
    """Why to revoke."""

    reason: Literal["unspecified", "key-compromise", "superseded", "cessation-of-operation"] = Field(
        "unspecified", description="What the issuer is told."
    )


def routes(supervisor: Supervisor) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/certificates", tags=["certificates"])

    @router.get("")
    async def certificates() -> list[CertificateStatus]:
        """All certificates. Keys are told to nobody."""
        return supervisor.certificates.statuses()

    @router.post("/{name:path}/renew")
    async def renew(name: str, options: Renew | None = None) -> CertificateStatus:
        """Has a certificate issued anew over ACME; answers when that is done, or has failed, which takes seconds."""
        return await supervisor.certificates.renew(name, dry_run=options is not None and options.dry_run)

    @router.post("/{name:path}/revoke")
    async def revoke(name: str, options: Revoke | None = None) -> CertificateStatus:
        """Gets another certificate with another key, shows it, and has the old one revoked by its issuer."""
        return await supervisor.certificates.revoke(name, REASONS["unspecified" if options is None else options.reason])

    return router


def issuers(supervisor: Supervisor) -> APIRouter:
    """The routes of what concerns an issuer as a whole."""
    router = APIRouter(prefix="/api/issuers", tags=["certificates"])

    @router.post("/{name}/rollover")
    async def rollover(name: str) -> AccountStatus:
        """Gives the account with an issuer another key; answers when the issuer has taken it."""
        return await supervisor.certificates.roll_over(name)

    return router

"""Certificates: what they are for, and how long they last."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from evenly.control.status import CertificateStatus
from evenly.control.supervisor import Supervisor


class Renew(BaseModel):
    """How to renew."""

    dry_run: bool = Field(
        False, description="Whether to end when the issuer has seen that the hosts are ours: nothing is issued."
    )


def routes(supervisor: Supervisor) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/certificates", tags=["certificates"])

    @router.get("")
    async def certificates() -> list[CertificateStatus]:
        """All certificates. Keys are told to nobody."""
        return supervisor.certificates()

    @router.post("/{name}/renew")
    async def renew(name: str, options: Renew | None = None) -> CertificateStatus:
        """Has a certificate issued anew over ACME; answers when that is done, or has failed, which takes seconds."""
        return await supervisor.renew(name, dry_run=options is not None and options.dry_run)

    return router

"""Certificates: what they are for, and how long they last."""

from __future__ import annotations

from fastapi import APIRouter

from evenly.control.status import CertificateStatus
from evenly.control.supervisor import Supervisor


def routes(supervisor: Supervisor) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/certificates", tags=["certificates"])

    @router.get("")
    async def certificates() -> list[CertificateStatus]:
        """All certificates. Keys are told to nobody."""
        return supervisor.certificates()

    return router

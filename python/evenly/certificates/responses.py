"""Asks issuers whether their certificates are revoked: one question, one answer (RFC 6960, appendix A)."""

from __future__ import annotations

import asyncio

from evenly.certificates.ocsp import OcspError, Subject, question

SECONDS = 10.0
"""For one answer; responders answer within a fraction of one, or not at all."""

LARGEST_ANSWER = 16 << 10
"""Bytes; the packet path takes no more. One with a certificate of the responder's has two thousand."""


async def ask(subject: Subject) -> bytes:
    """The answer, as it came. Raises `OcspError`."""
    # Late: most processes have nobody to ask.
    import httpx

    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    body = bytearray()
    try:
        async with (
            asyncio.timeout(SECONDS),
            # No redirects: the certificate says who answers.
            httpx.AsyncClient(timeout=SECONDS, trust_env=False) as client,
            client.stream("POST", subject.url, content=question(subject), headers=headers) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise OcspError(f"{subject.url} answers {answer.status_code}")
            # Not decoded: a few bytes could become many.
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > LARGEST_ANSWER:
                    raise OcspError(f"{subject.url} answers more than {LARGEST_ANSWER >> 10} KiB")
    except TimeoutError as error:
        raise OcspError(f"{subject.url} gives no answer within {SECONDS:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise OcspError(f"{subject.url} cannot be asked: {str(error) or type(error).__name__}") from error
    return bytes(body)

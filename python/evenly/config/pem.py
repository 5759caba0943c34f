"""What is wrong with a PEM file that cannot be read (RFC 7468), in words that say where to look."""

from __future__ import annotations

import base64
import binascii
import re

CERTIFICATE = r"(?:X509 )?CERTIFICATE"
PRIVATE_KEY = r"(?:[A-Z0-9]+ )?PRIVATE KEY"
REVOCATION_LIST = r"X509 CRL"

_BEGIN = re.compile(r"-----BEGIN ([^\n-]*)-----")
_CALLED = {CERTIFICATE: "CERTIFICATE", PRIVATE_KEY: "PRIVATE KEY", REVOCATION_LIST: "X509 CRL"}


def fault(pem: str, wanted: str) -> str:
    """Why a text has no part of the kind `wanted`, or which of them is damaged."""
    if not pem.strip():
        return "it is empty"
    begins = list(_BEGIN.finditer(pem))
    if not begins:
        return f"it is not PEM, which begins with -----BEGIN {_CALLED[wanted]}-----"
    ours = [begin for begin in begins if re.fullmatch(wanted, begin[1])]
    if not ours:
        return f"it has only {', '.join(dict.fromkeys(begin[1] for begin in begins))}"
    for begin in ours:
        line, label = pem.count("\n", 0, begin.start()) + 1, begin[1]
        body, end, _ = pem[begin.end() :].partition(f"-----END {label}-----")
        if not end or "-----BEGIN " in body:
            return f"the {label} in line {line:,} is cut off: it has no -----END {label}-----"
        if why := _damage(body):
            return f"the {label} in line {line:,} is damaged: {why}"
    return "what is in it is damaged, or of a kind that is not known"


def _damage(body: str) -> str:
    """What is wrong between the lines that begin and end a part; empty if that cannot be told."""
    # Keys in the old style may have fields before an empty line.
    content = "".join(line for line in body.splitlines() if ":" not in line)
    try:
        der = base64.b64decode("".join(content.split()), validate=True)
    except binascii.Error:
        return "it is not base64"
    if not der:
        return "nothing is in it"
    return "" if _is_whole(der) else "some of it is missing, or too much is there"


def _is_whole(der: bytes) -> bool:
    """Whether it is one sequence of ASN.1 of the length that it says (X.690, section 8.1)."""
    if len(der) < 2 or der[0] != 0x30:
        return False
    if der[1] < 0x80:
        return len(der) == 2 + der[1]
    count = der[1] & 0x7F
    return len(der) == 2 + count + int.from_bytes(der[2 : 2 + count], "big")

"""The certificate that every peer shows over TLS: ECDSA on P-256, signed by itself, made anew for each session."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

NAME = "bench.example.com"


@dataclass(frozen=True)
class Certificate:
    """Where it and its key lie, as PEM."""

    cert: Path
    key: Path


def written(work: Path) -> Certificate:
    """Make one in ``work``, and ``bench.pem`` with both for HAProxy.

    Raises ``OSError`` or ``subprocess.SubprocessError`` where there is no openssl that can."""
    made = Certificate(work / "bench.crt", work / "bench.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "7", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    command += ["-keyout", str(made.key), "-out", str(made.cert)]
    subprocess.run(command, capture_output=True, timeout=30, check=True)
    both = work / "bench.pem"
    both.touch(mode=0o600)
    both.write_bytes(made.cert.read_bytes() + made.key.read_bytes())
    return made

"""What is said of PEM files that cannot be read: never the words of a library."""

import re

import pytest
from evenly.config import load_text
from evenly.config.authority_files import read_authorities
from evenly.config.certificate_files import read_certificates

from tests.support.authority import Authority

TEXT = """
[listeners.web]
bind = ":443"
tls = { certificates = "site", client_ca = "site.pem", crl = "list.pem" }
[certificates.site]
cert = "site.pem"
key = "site.key"
[pools.app]
endpoints = ["10.0.0.1:9000"]
"""


def told(directory) -> dict[str, str]:
    """What is wrong with the files, by option."""
    loaded = load_text(TEXT, "evenly.toml", directory)
    problems = [*read_certificates(loaded)[1], *read_authorities(loaded)[1]]
    for _, message in problems:
        assert "http" not in message, message
        assert not re.search(r"[a-z][A-Z]|Error|serializ", message), message
    return {str(place[-1]): message for place, message in problems}


def filled(pem: str, content: str) -> str:
    """The same label around something else."""
    lines = pem.splitlines()
    return f"{lines[0]}\n{content}\n{lines[-1]}\n"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda _: "", "it is empty"),
        (lambda _: "hello\n", "it is not PEM, which begins with -----BEGIN {}-----"),
        (lambda _: "-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n", "it has only DH PARAMETERS"),
        (lambda pem: "# ours\n" + pem[: len(pem) // 3], "the {} in line 2 is cut off: it has no -----END {}-----"),
        (lambda pem: pem.replace("\n", "\n!", 1), "the {} in line 1 is damaged: it is not base64"),
        (lambda pem: pem.replace("\nMI", "\nMIMI", 1), "the {} in line 1 is damaged: "),
        (lambda pem: filled(pem, ""), "the {} in line 1 is damaged: nothing is in it"),
        (lambda pem: filled(pem, "MAMCAQA="), "what is in it is damaged, or of a kind that is not known"),
    ],
)
def test_every_damage(tmp_path, damage, said) -> None:
    authority = Authority(tmp_path)
    files = authority.issue("a.test", file="site", order=(0,))
    crl = authority.revoke(files, file="list.pem")
    assert told(tmp_path) == {}
    for path, option, label in (
        (files.key, "key", "PRIVATE KEY"), (files.cert, "cert", "CERTIFICATE"), (crl, "crl", "X509 CRL"),
    ):  # fmt: skip
        whole = path.read_text()
        path.write_text(damage(whole))
        found = told(tmp_path)
        if option != "crl" or "revocation list that" in found["crl"]:
            assert said.format(label, label) in found[option], found
        if option == "cert":
            assert said.format(label, label) in found["client_ca"]
        path.write_text(whole)


def test_a_key_in_place_of_a_certificate(tmp_path) -> None:
    """Both are PEM: it is said what is there."""
    files = Authority(tmp_path).issue("a.test", file="site")
    Authority(tmp_path).revoke(files, file="list.pem")
    files.cert.write_text(files.key.read_text())
    assert told(tmp_path)["cert"].endswith("site.pem has no certificate that can be read: it has only PRIVATE KEY")

"""`evenly certificates`, with `renew`, `revoke` and `rollover`."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import typer
from rich.table import Table
from rich.text import Text

from evenly.cli.client import AdminOption, FileOption, TokenOption, find
from evenly.cli.status_table import duration, plain_table
from evenly.cli.terminal import output, warn
from evenly.control.certificates import WARN_DAYS
from evenly.control.status import AccountStatus, CertificateStatus, OnDemandStatus, RevocationStatus, StapleStatus

RENEW_SECONDS = 600.0
"""For a renewal: as long as several issuers may take, one after the other."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print what the admin API answers.")]


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The certificate.", show_default=False)]
IssuerArgument = Annotated[
    str, typer.Argument(metavar="ISSUER", help="The issuer, as `[acme.issuers]` names it.", show_default=False)
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="End when the issuer has seen that the hosts are ours: nothing is issued.")
]

ReasonOption = Annotated[
    str,
    typer.Option(
        "--reason", metavar="REASON", help="unspecified, key-compromise, superseded or cessation-of-operation."
    ),
]

app = typer.Typer(invoke_without_command=True, no_args_is_help=False)


@app.callback()
def certificates(
    context: typer.Context,
    as_json: JsonOption = False,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Show certificates: what they are for, who issued them, how long they last, where they are used; or renew one."""
    if context.invoked_subcommand is not None:
        return
    answer = find(admin, file, token_file).request("GET", "/api/certificates")
    if as_json:
        # Not through the console: it would break long lines.
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    found = [CertificateStatus.model_validate(each) for each in answer]
    output.print(render(found) if found else "no certificates")
    for line in [*renewals(found, time.time()), *revocations(found, time.time())]:
        output.print(line, soft_wrap=True)
    for each in found:
        if each.on_demand is not None:
            output.print(_on_demand(each.name, each.on_demand), soft_wrap=True)
    for problem in sorted({each.problem for each in found if each.problem}):
        warn(f"replaced files are not used: {problem}")


@app.command()
def renew(
    name: NameArgument,
    dry_run: DryRunOption = False,
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Have a certificate issued anew over ACME, now; or find out whether it would be."""
    api = find(admin, file, token_file)
    answer = api.request(
        "POST", f"/api/certificates/{quote(name, safe='')}/renew", {"dry_run": dry_run}, timeout=RENEW_SECONDS
    )
    found = CertificateStatus.model_validate(answer)
    if dry_run:
        output.print(
            f"{name}: the issuer has seen that its hosts are ours; a certificate would be issued", soft_wrap=True
        )
    else:
        output.print(f"{name}: issued by {found.issuer}, until {_day(found.expires)}", soft_wrap=True)


@app.command()
def revoke(
    name: NameArgument,
    reason: ReasonOption = "unspecified",
    admin: AdminOption = None,
    file: FileOption = None,
    token_file: TokenOption = None,
) -> None:
    """Have a certificate issued anew with another key, and the old one revoked by its issuer."""
    api = find(admin, file, token_file)
    path = f"/api/certificates/{quote(name, safe='')}/revoke"
    found = CertificateStatus.model_validate(api.request("POST", path, {"reason": reason}, timeout=RENEW_SECONDS))
    output.print(
        f"{name}: revoked; another is shown, issued by {found.issuer}, until {_day(found.expires)}", soft_wrap=True
    )


@app.command()
def rollover(
    issuer: IssuerArgument, admin: AdminOption = None, file: FileOption = None, token_file: TokenOption = None
) -> None:
    """Give the account with an issuer another key; certificates and their keys stay as they are."""
    api = find(admin, file, token_file)
    path = f"/api/issuers/{quote(issuer, safe='')}/rollover"
    account = AccountStatus.model_validate(api.request("POST", path, timeout=RENEW_SECONDS))
    output.print(f"{issuer}: the account {account.url} has the key {account.thumbprint}", soft_wrap=True)


def renewals(certificates: list[CertificateStatus], now: float) -> list[Text]:
    """A line for each certificate over ACME: when it is renewed, or why it was not."""
    return [line for each in certificates if (line := _renewal(each, now)) is not None]


def _renewal(certificate: CertificateStatus, now: float) -> Text | None:
    renewal = certificate.renewal
    if renewal is None:
        return None
    by = "not issued yet" if renewal.issuer is None else f"from {renewal.issuer}"
    if certificate.origin == "placeholder":
        by = "placeholder, not issued yet"
    when = "being renewed now" if renewal.renewing else ""
    if renewal.next_try is not None and not renewal.renewing:
        when = f"next try in {duration(renewal.next_try - now)}: {renewal.why}"
    line = Text.assemble("certificate ", (certificate.name, "bold"), f" · {by} · {when}")
    if renewal.error:
        line.append(f"\n  failed {renewal.failures:,} times in a row: {renewal.error}", "red")
    if renewal.revocation is not None:
        line.append_text(_still_to_revoke(renewal.revocation, now))
    return line


def _still_to_revoke(revocation: RevocationStatus, now: float) -> Text:
    which = "a certificate" if revocation.serial is None else f"serial number {revocation.serial}"
    when = "being tried now"
    if revocation.next_try is not None:
        when = f"next try in {duration(revocation.next_try - now)}"
    line = Text(f"\n  {which} is still to be revoked · {when}", "bold red")
    if revocation.error:
        line.append(f"\n  failed {revocation.failures:,} times in a row: {revocation.error}", "red")
    return line


def revocations(certificates: list[CertificateStatus], now: float) -> list[Text]:
    """A line for each certificate whose issuer is asked about it: what it says."""
    return [_revocation(each.name, each.ocsp, now) for each in certificates if each.ocsp is not None]


def _revocation(name: str, ocsp: StapleStatus, now: float) -> Text:
    says = "no answer to staple, and it must be" if ocsp.required and ocsp.until is None else "no answer to staple"
    if ocsp.state == "revoked":
        says = "revoked by its issuer"
    elif ocsp.until is not None:
        says = f"not revoked, stapled for {duration(ocsp.until - now)} more"
    style = "" if ocsp.state == "good" else "bold red" if ocsp.required or ocsp.state == "revoked" else "yellow"
    line = Text.assemble("certificate ", (name, "bold"), " · ", (f"OCSP: {says}", style))
    if ocsp.error:
        line.append(f"\n  failed {ocsp.failures:,} times in a row: {ocsp.error}", "red")
    return line


def render(certificates: list[CertificateStatus]) -> Table:
    """The table for people."""
    table = plain_table()
    for name in ("certificate", "for", "issuer", "key", "expires"):
        table.add_column(name, overflow="fold")
    table.add_column("days left", justify="right")
    table.add_column("used by", overflow="fold")
    for each in certificates:
        style = "bold red" if each.days_left < 0 else "yellow" if each.days_left < WARN_DAYS else "green"
        table.add_row(
            each.name,
            "\n".join(each.names),
            each.issuer,
            each.key,
            _day(each.expires),
            _left(each, style),
            "\n".join([*each.listeners, *(f"pool {pool}" for pool in each.pools)]),
        )
    return table


def _on_demand(name: str, status: OnDemandStatus) -> Text:
    return Text.assemble(
        "certificate ", (name, "bold"), f" · on demand: {status.hosts:,} of {status.max_hosts:,} hosts"
    )


def _left(certificate: CertificateStatus, style: str) -> Text:
    """Days, or why nobody counts them."""
    if certificate.on_demand is not None:
        return Text("on demand")
    if certificate.origin == "placeholder":
        return Text("placeholder", "bold red")
    if certificate.origin == "self-signed":
        return Text("self-signed", "yellow")
    return Text(f"{certificate.days_left:,}", style)


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"

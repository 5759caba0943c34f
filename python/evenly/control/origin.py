"""Where the configuration comes from, so that a reload can go there again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from evenly.certificates.issued import read_issued
from evenly.config import (
    AdminAddress,
    ConfigError,
    Document,
    Loaded,
    Machine,
    Resolved,
    document,
    from_arguments,
    load,
    resolve,
)
from evenly.config.access_files import named_files
from evenly.config.authority_files import authority_files, read_authorities
from evenly.config.certificate_files import certificate_files, of_issued, read_certificates, worse
from evenly.config.edits import Edits, edited
from evenly.config.found import Found
from evenly.config.front_routes import NO_ANSWERS, Answers
from evenly.control.admin import check_secret_files
from evenly.control.process.watch import Fingerprint, fingerprint
from evenly.control.splits import Splits

UNEDITED = Edits()


class WorseCertificateError(ConfigError):
    """Clients would refuse what has replaced a certificate that they take; `begins` is when that may change."""

    def __init__(self, refusal: ConfigError, begins: datetime | None) -> None:
        super().__init__(refusal.problems)
        self.begins = begins


@dataclass(frozen=True)
class Configuration:
    """A configuration that is ready to run, and its document."""

    resolved: Resolved
    document: Document
    fingerprint: Fingerprint
    """All files that were read for it, as they were just before."""
    certificates_fingerprint: Fingerprint
    """The same of the files with certificates, keys and authorities, which are read again by themselves."""
    written: Loaded
    """What the file or the command line says, without edits."""
    edits: Edits
    found: Found = field(default_factory=dict)
    """What discovery has found, by pool."""
    splits: Splits = field(default_factory=Splits)
    """The weights that an operator has set."""
    answers: Answers = NO_ANSWERS
    """What issuers of certificates are told."""

    @property
    def addresses(self) -> list[str]:
        """Every address that its listeners bind."""
        return [str(address) for listener in self.resolved.settings.listeners.values() for address in listener.bind]

    def with_found(self, found: Found) -> Configuration:
        """The same with these endpoints from discovery."""
        return replace(self, found=found, document=self.document.with_found(self.resolved, found))

    def with_splits(self, splits: Splits) -> Configuration:
        """The same with these weights, as far as they still go with what is written."""
        kept = splits.that_hold(self.resolved)
        if kept == self.splits:
            return self
        return replace(self, splits=kept)._documented()

    def with_answers(self, answers: Answers) -> Configuration:
        """The same with these answers to issuers."""
        if answers == self.answers:
            return self
        return replace(
            self, answers=answers, document=self.document.with_answers(self.splits.over(self.resolved), answers)
        )

    def with_issued(self) -> Configuration:
        """The same with the certificates that the store has now; those in files stay. Blocks."""
        issued = {name: of_issued(pem) for name, pem in read_issued(self.resolved.loaded).items()}
        good = {name: each for name, each in issued.items() if each is not None}
        resolved = replace(self.resolved, certificates=self.resolved.certificates | good)
        return replace(self, resolved=resolved)._documented()

    def _documented(self) -> Configuration:
        return replace(self, document=document(self.splits.over(self.resolved), self.found, self.answers))


@dataclass(frozen=True)
class Origin:
    """A file, or the arguments of a command line."""

    name: str
    """As the user gave it."""
    file: Path | None
    read_settings: Callable[[], Loaded]
    admin: AdminAddress | None = None
    """Where the admin API listens, whatever the configuration says."""
    zone: str | None = None
    """The node's zone, whatever the configuration says."""

    @classmethod
    def of_file(
        cls, path: Path, admin: AdminAddress | None = None, zone: str | None = None, *, once: bool = False
    ) -> Origin:
        """A configuration file; `once` is as in `load`."""
        return cls(str(path), path, lambda: load(path, once=once), admin, zone)

    @classmethod
    def of_arguments(
        cls, listen: Sequence[str], endpoints: Sequence[str], protocol: str, admin: AdminAddress | None = None
    ) -> Origin:
        """`--listen` and endpoints."""
        return cls("command line", None, lambda: from_arguments(listen, endpoints, protocol), admin)

    def load(self) -> tuple[Loaded, Fingerprint]:
        """Reads it, and nothing that it names. Raises `ConfigError`."""
        before = fingerprint(() if self.file is None else (self.file,))
        return self.read_settings(), before

    def read(self, edits: Edits = UNEDITED) -> Configuration:
        """Reads, edits, checks and resolves it. Raises `ConfigError`. Blocks, perhaps for long: names are looked up."""
        return self.prepare(*self.load(), edits)

    def edited(self, running: Configuration, edits: Edits) -> Configuration:
        """A running one with other edits; its file is not read again. Raises `ConfigError`. Blocks as `read`."""
        before = running.fingerprint[: 0 if self.file is None else 1]
        return self.prepare(running.written, before, edits)

    def prepare(self, written: Loaded, before: Fingerprint, edits: Edits) -> Configuration:
        """Lays edits over what was read, checks and resolves it. Raises `ConfigError`. Blocks as `read`."""
        loaded = edited(written, edits)
        before += fingerprint(self._beside(loaded))
        of_certificates = fingerprint(_certificate_paths(loaded))
        resolved = resolve(loaded, Machine.here(), issued=read_issued(loaded))
        check_secret_files(resolved)
        if self.admin is not None:
            resolved = replace(resolved, admin=replace(resolved.admin, bind=self.admin))
        if self.zone is not None:
            resolved = replace(resolved, zone=self.zone)
        return Configuration(resolved, document(resolved), before, of_certificates, written, edits)

    def with_certificates(self, running: Configuration) -> Configuration:
        """A running one with its certificates and keys read again. Raises `ConfigError`. Blocks.

        Nobody has asked for it, so that one which is valid does not make room for one which is not.
        """
        loaded = running.resolved.loaded
        before = fingerprint(_certificate_paths(loaded))
        certificates, problems = read_certificates(loaded, read_issued(loaded))
        authorities, in_authorities = read_authorities(loaded)
        if problems or in_authorities:
            raise loaded.source.refusal([*problems, *in_authorities])
        refused, begins = worse(running.resolved.certificates, certificates, datetime.now(UTC))
        if refused:
            raise WorseCertificateError(loaded.source.refusal(refused), begins)
        resolved = replace(running.resolved, certificates=certificates, authorities=authorities)
        check_secret_files(resolved)
        return replace(running, resolved=resolved, certificates_fingerprint=before)._documented()

    def _beside(self, loaded: Loaded) -> tuple[Path, ...]:
        """The files that the configuration names and that are read with it."""
        if self.file is None:
            return ()
        directory, settings = loaded.source.directory, loaded.settings
        pages = [page.file for page in settings.error_pages.values()]
        secrets = (settings.admin.token_file, settings.affinity.secret_file, settings.affinity.previous_secret_file)
        tickets = (settings.session_tickets.secret_file, settings.session_tickets.previous_secret_file)
        beside = [name for name in (*pages, *secrets, *tickets, *named_files(settings)) if name is not None]
        return tuple(directory / name for name in beside)


def _certificate_paths(loaded: Loaded) -> tuple[Path, ...]:
    names = (*certificate_files(loaded.settings), *authority_files(loaded.settings))
    return tuple(loaded.source.directory / name for name in names)

"""Speaks with one issuer (RFC 8555) through certbot's `acme`. Everything here blocks, and belongs into a thread.

Imported late: the library takes a fifth of a second to load, which processes without such certificates do not wait for.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from acme import challenges, crypto_util, errors, jws, messages
from acme.client import ClientNetwork, ClientV2
from josepy.errors import Error as JoseError
from josepy.json_util import field
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from evenly import __version__
from evenly.certificates import caa
from evenly.certificates.account import Account, account_name, load_account, save_account
from evenly.certificates.ari import identifier, window_of
from evenly.certificates.issue_error import IssueError
from evenly.certificates.renewal import Window
from evenly.certificates.responder import Question
from evenly.certificates.store import Store, locked_within
from evenly.certificates.wanted import WantedIssuer
from evenly.config.files import read_secret

if TYPE_CHECKING:
    from cryptography import x509

    from evenly.config.schema import Challenge

NETWORK_SECONDS = 30
"""For one answer. Issuers answer within a second or two, or not at all."""

DEADLINE = timedelta(minutes=3)
"""For the issuer to look at the answers, and to issue: seconds as a rule, a minute or two when it looks from afar."""

NONCE_ATTEMPTS = 5
"""Nonces may be refused for no fault of ours (RFC 8555, section 6.5); the library tries twice, and that as often."""

ACCOUNT_SECONDS = 60.0
"""For another conversation to register the account, or to change it: two or three answers of the issuer."""

Order = messages.OrderResource


@challenges.ChallengeResponse.register
class _TlsAlpnResponse(challenges.KeyAuthorizationChallengeResponse):
    """Says that `tls-alpn-01` may be looked at (RFC 8737): the library has no such challenge any more."""

    typ = "tls-alpn-01"


@challenges.Challenge.register
class _TlsAlpn(challenges.KeyAuthorizationChallenge):
    """The challenge; whoever answers it needs no more than its key authorization."""

    response_cls = _TlsAlpnResponse
    typ = response_cls.typ

    def validation(self, account_key: JWK, **_: object) -> str:
        """What the answer proves."""
        return self.key_authorization(account_key)


class _Replacement(messages.NewOrder):
    """An order that names the certificate in whose place it is to come (RFC 9773, section 5)."""

    replaces: str | None = field("replaces", omitempty=True)


class _Network(ClientNetwork):
    """The library's, but more patient with nonces, and with orders that replace."""

    replaces: str | None = None
    """What the next orders replace."""

    def post(self, url: str, obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the library's signature
        if isinstance(obj, messages.NewOrder) and self.replaces is not None:
            obj = _Replacement(identifiers=obj.identifiers, replaces=self.replaces)
        for _ in range(NONCE_ATTEMPTS - 1):
            try:
                return super().post(url, obj, *args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(url, obj, *args, **kwargs)


class Conversation:
    """With one issuer, under the account that the store has, or a new one. Calls raise `IssueError`."""

    def __init__(self, issuer: WantedIssuer, store: Store) -> None:
        self.issuer = issuer
        self._store = store
        self._chosen: dict[str, messages.ChallengeBody] = {}
        account = load_account(store, issuer) or Account.new()
        with self._explained("does not tell its directory"):
            self._listed = ClientV2.get_directory(issuer.directory, self._network(account.key))
        self._use(account)
        if account.next_key is not None:
            self._settle()

    def order(
        self, hosts: Sequence[str], kind: Challenge, key: bytes, predecessor: x509.Certificate | None = None
    ) -> tuple[Order, list[Question]]:
        """Orders a certificate for a key (PEM), and what is asked about its hosts; nothing, if that is known still.

        `predecessor` is the certificate of this issuer in whose place it is to come, which spares limits."""
        meta = getattr(self._client.directory, "meta", None)
        if identities := meta and meta.caa_identities:
            caa.check(hosts, identities, self.issuer.name, caa.looking(self.issuer.resolver))
        request = crypto_util.make_csr(key, list(hosts))
        with self._explained("takes no order"):
            try:
                self._sign_in()
                order = self._order_in_place_of(predecessor, request)
            except messages.Error as error:
                if error.code != "accountDoesNotExist":
                    raise
                # It has forgotten us, as test servers do.
                self._sign_up()
                self._sign_in()
                order = self._client.new_order(request)
        pending = [each for each in order.authorizations if each.body.status != messages.STATUS_VALID]
        return order, [self._question(each, kind) for each in pending]

    def _order_in_place_of(self, predecessor: x509.Certificate | None, request: bytes) -> Order:
        """As far as the issuer goes along with that. Raises `messages.Error`."""
        if predecessor is None or self._directory("renewalInfo") is None:
            return self._client.new_order(request)
        network = cast("_Network", self._client.net)
        try:
            network.replaces = identifier(predecessor)
            return self._client.new_order(request)
        except messages.Error as error:
            # An order that replaces nothing is as good, but for those that would be refused as well.
            if error.code in {"accountDoesNotExist", "rateLimited"}:
                raise
        except (errors.ConflictError, ValueError):
            # Another has replaced it already (409, of which the library tells no more), or it has no name there.
            pass
        finally:
            network.replaces = None
        return self._client.new_order(request)

    def answered(self, order: Order) -> Order:
        """Says that every question is answered, and waits until the issuer has looked."""
        with self._explained("did not accept the answers"):
            for authorization in order.authorizations:
                if authorization.body.status != messages.STATUS_VALID:
                    chosen = self._chosen[authorization.uri]
                    self._client.answer_challenge(chosen, chosen.response(self._key))
            return self._client.poll_authorizations(order, _deadline())

    def finished(self, order: Order) -> str:
        """The certificate, with those that lead to a root."""
        with self._explained("issued nothing"):
            return str(self._client.finalize_order(order, _deadline()).fullchain_pem)

    def window(self, certificate: x509.Certificate) -> tuple[Window | None, datetime]:
        """When it wants a certificate of its own renewed, if it says so (RFC 9773), and when to ask again."""
        with self._explained("does not say when to renew"):
            url = self._directory("renewalInfo")
            if url is None:
                return None, datetime.now(UTC) + timedelta(days=1)
            response = self._client.net.get(f"{url}/{identifier(certificate)}")
            return window_of(response.json(), response.headers.get("Retry-After"), datetime.now(UTC))

    def _question(self, authorization: messages.AuthorizationResource, kind: Challenge) -> Question:
        host = authorization.body.identifier.value
        for body in authorization.body.challenges:
            if body.chall.typ == kind:
                # By its URL, since a wildcard and the name above it are one host here.
                self._chosen[authorization.uri] = body
                answer = body.chall.key_authorization(self._key)
                return Question(host, kind, body.chall.encode("token"), answer)
        # What the library does not know has no name there.
        names = (each.chall.typ for each in authorization.body.challenges)
        offered = ", ".join(sorted(name for name in names if isinstance(name, str)))
        raise IssueError(f"{self.issuer.name} does not offer the challenge {kind} for {host}, but {offered}")

    def roll_over(self) -> tuple[str, str]:
        """Gives the account another key (RFC 8555, section 7.3.5): its URL, and the new key's thumbprint (RFC 7638).

        The new key is kept before the issuer hears of it, and the old one until it has said yes. Whoever reads both
        later asks which one counts.
        """
        with self._store.locked(account_name(self.issuer)) as is_ours:
            account = load_account(self._store, self.issuer) if is_ours else None
            if not is_ours or (account is not None and account.next_key is not None):
                raise IssueError(f"another process is changing the key of the account with {self.issuer.name}")
            if account is None or account.url is None:
                raise IssueError(f"there is no account with {self.issuer.name} yet: its first certificate makes one")
            self._use(account)
            self._client.net.account = _known(account.url)
            self._keep(replace(self._account, next_key=Account.new().key))
            with self._explained("did not take another key"):
                self._change_key(account.url)
            self._keep(self._account.with_next_key)
        return account.url, _base64(self._key.thumbprint())

    def _change_key(self, url: str) -> None:
        to = self._directory("keyChange")
        if to is None or self._account.next_key is None:
            raise ValueError("its directory has no `keyChange`")
        new = JWKEC.load(self._account.next_key.encode())
        said = json.dumps({"account": url, "oldKey": self._key.public_key().to_json()})
        # Signed by the new key inside, and by the old one outside.
        inner = jws.JWS.sign(said.encode(), key=new, alg=ES256, nonce=None, url=to)
        self._client.net.post(to, inner, new_nonce_url=self._directory("newNonce"))

    def _settle(self) -> None:
        """Asks which of two keys the account has: an earlier process was ended while it changed them."""
        with self._store.locked(account_name(self.issuer)) as is_ours:
            account = load_account(self._store, self.issuer)
            if not is_ours or account is None or account.next_key is None:
                # Somebody is at it; until that is over, the old one is as good a guess as the new one.
                return
            new = account.with_next_key
            with self._explained("does not say which key the account has"):
                try:
                    self._client_of(new.key).new_account(messages.NewRegistration(only_return_existing=True))
                except errors.ConflictError:
                    # The library's word for an account that is there already.
                    self._keep(new)
                except messages.Error as error:
                    if error.code != "accountDoesNotExist":
                        raise
                    self._keep(replace(account, next_key=None))

    def _keep(self, account: Account) -> None:
        save_account(self._store, self.issuer, account)
        self._use(account)

    def _use(self, account: Account) -> None:
        """Speaks under this account from now on."""
        self._account = account
        self._key = JWKEC.load(account.key.encode())
        before = getattr(self, "_client", None)
        self._client = self._client_of(account.key)
        if before is not None:
            self._client.net.account = before.net.account

    def _client_of(self, key: str) -> ClientV2:
        return ClientV2(self._listed, self._network(key))

    def _network(self, key: str) -> _Network:
        network = _Network(
            JWKEC.load(key.encode()), alg=ES256, user_agent=f"evenly/{__version__}", timeout=NETWORK_SECONDS
        )
        # The library hands it to `requests`, which takes the path of a bundle as well.
        network.verify_ssl = cast("bool", True if self.issuer.ca is None else str(self.issuer.ca))
        return network

    def _sign_in(self) -> None:
        url = self._account.url or self._sign_up()
        self._client.net.account = _known(url)
        if self._account.email != self.issuer.email:
            contact = messages.UpdateRegistration.from_data(email=self.issuer.email, contact=())
            # Not as the library does it, which asks for the account by its key, and so takes another key for
            # an account that the issuer has forgotten.
            self._client.net.post(url, contact, new_nonce_url=self._directory("newNonce"))
            self._account = replace(self._account, email=self.issuer.email)
            with self._alone() as kept:
                # Its key may have changed meanwhile.
                save_account(self._store, self.issuer, replace(kept or self._account, email=self.issuer.email))

    def _sign_up(self) -> str:
        """Registers, or goes on under the account that another conversation has registered meanwhile: its URL."""
        with self._alone() as kept:
            if kept is not None and kept.url is not None and kept.url != self._account.url:
                self._use(kept)
                return kept.url
            # Under the key that is kept: the issuer may have heard of it.
            return self._register(kept or self._account)

    def _register(self, account: Account) -> str:
        self._use(account)
        self._client.net.account = None
        registration = messages.NewRegistration.from_data(
            email=self.issuer.email, terms_of_service_agreed=True, external_account_binding=self._binding()
        )
        # The key first: an account whose key is lost is lost.
        save_account(self._store, self.issuer, account)
        try:
            url = self._client.new_account(registration).uri
        except errors.ConflictError as known:
            # It knows the key: an earlier process was ended between two lines.
            url = known.location
        if not url:
            raise ValueError("it does not say where the account is")
        self._keep(replace(account, url=url, email=self.issuer.email))
        return str(url)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Account | None]:
        """The account as it is kept, which nobody else changes inside the block."""
        with locked_within(self._store, account_name(self.issuer), ACCOUNT_SECONDS) as is_ours:
            if not is_ours:
                raise IssueError(f"another process is changing the account with {self.issuer.name}")
            yield load_account(self._store, self.issuer)

    def _binding(self) -> dict[str, Any] | None:
        """The proof that an account with the issuer is ours (RFC 8555, section 7.3.4)."""
        if self.issuer.external_account is None:
            if self._client.external_account_required():
                raise IssueError(f"{self.issuer.name} wants an account that you have with it: set `external_account`")
            return None
        key_id, file = self.issuer.external_account
        key = read_secret(file)
        return messages.ExternalAccountBinding.from_data(self._key.public_key(), key_id, key, self._client.directory)

    def revoke(self, certificate: x509.Certificate, reason: int) -> None:
        """Tells everybody that a certificate is not to be trusted any more (RFC 8555, section 7.6)."""
        with self._explained("did not revoke the certificate"):
            self._sign_in()
            try:
                self._client.revoke(certificate, reason)
            except messages.Error as error:
                # It has heard of it before, and we not its answer.
                if error.code != "alreadyRevoked":
                    raise

    def _directory(self, name: str) -> str | None:
        try:
            return str(self._client.directory[name])
        except KeyError:
            return None

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except (errors.Error, JoseError, OSError, ValueError, KeyError) as error:
            raise IssueError(f"{self.issuer.name} {what}: {_reason(error)}") from error


def _known(url: str) -> messages.RegistrationResource:
    """An account that the issuer knows by its URL."""
    return messages.RegistrationResource(uri=url, body=messages.Registration())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _deadline() -> datetime:
    # The library compares with the local time.
    return datetime.now() + DEADLINE


def _reason(error: Exception) -> str:
    """An error in one line, without what only a programmer would read."""
    match error:
        case messages.Error():
            text = f"{error.detail or error.title or error.typ} ({error.code or error.typ})"
            # What is wrong with single hosts stands below.
            below = [f"{each.identifier.value}: {each.detail}" for each in error.subproblems or () if each.identifier]
            return ": ".join((text, "; ".join(below))) if below else text
        case errors.ValidationError():
            return "; ".join(
                f"{each.body.identifier.value}: {challenge.error.detail} ({challenge.error.code})"
                for each in error.failed_authzrs
                for challenge in each.body.challenges
                if challenge.error is not None
            )
        case errors.ConflictError():
            return "it has that already"
        case errors.IssuanceError():
            return _reason(error.error)
        case errors.TimeoutError():
            return f"it did not come to an end within {DEADLINE.seconds // 60} minutes"
        case OSError():
            return _innermost(error)
        case _:
            return str(error) or type(error).__name__


def _innermost(error: BaseException) -> str:
    """The system's own word for what is wrong with a connection, which libraries wrap three times."""
    while True:
        wrapped = [getattr(error, "reason", None), *error.args]
        inner = next((each for each in wrapped if isinstance(each, Exception)), None)
        if inner is None:
            break
        error = inner
    text = getattr(error, "strerror", None) or str(error)
    return re.sub(r"^.*(\[Errno -?\d+\] |object at 0x\w+>: )", "", text)

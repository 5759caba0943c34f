"""Answers to what issuers ask of hosts, as routes of the document."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .schema import Respond, Route
from .schema.match import PathPattern

WELL_KNOWN = "/.well-known/acme-challenge/"
"""RFC 8555, section 8.3."""


@dataclass(frozen=True)
class Answers:
    """What is answered for the time being."""

    http: Mapping[str, str] = field(default_factory=dict)
    """Key authorizations by token, on every HTTP listener."""


NO_ANSWERS = Answers()


def challenge_routes(answers: Answers) -> Iterator[Route]:
    """A route for each answer. They belong in front of all others: no redirect and no access rule is to come first."""
    for number, (token, answer) in enumerate(sorted(answers.http.items()), start=1):
        respond = Respond(body=answer, content_type="application/octet-stream")
        route = Route(name="acme", path=PathPattern("exact", WELL_KNOWN + token), respond=respond)
        # A user's route cannot have such a name: ":" is not allowed in one.
        yield route.model_copy(update={"name": f"acme:{number}"})

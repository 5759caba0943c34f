"""What issuers' questions are answered while several certificates are asked for at once."""

import asyncio

from evenly.certificates.responder import Question
from evenly.config.front_routes import Answers
from evenly.control.keepers import Keepers


def test_answers_to_several_issuers_stand_side_by_side() -> None:
    """Also if one is added, or taken away, while another is on its way to the listeners."""
    published: list[dict[str, str]] = []

    async def publish(answers: Answers) -> None:
        await asyncio.sleep(0)
        published.append(dict(answers.http))

    async def nothing() -> None: ...

    async def ask(keepers: Keepers, token: str, all_there: asyncio.Barrier) -> None:
        question = Question(host=f"{token}.test", kind="http-01", token=token, answer=f"{token}.key")
        async with keepers.answering([question]):
            await all_there.wait()
            assert published[-1] == {"a": "a.key", "b": "b.key", "c": "c.key"}
            await all_there.wait()

    async def run() -> None:
        keepers = Keepers(publish, nothing)
        all_there = asyncio.Barrier(3)
        await asyncio.gather(*(ask(keepers, token, all_there) for token in "abc"))

    asyncio.run(run())
    assert published[-1] == {}

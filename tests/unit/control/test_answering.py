"""What issuers' questions are answered while several certificates are asked for at once."""

import asyncio

from evenly.certificates.responder import Question
from evenly.config.front_routes import Answers
from evenly.control.answering import Answering


def test_answers_to_several_issuers_stand_side_by_side() -> None:
    """Also if one is added, or taken away, while another is on its way to the listeners."""
    published: list[Answers] = []

    async def publish(answers: Answers) -> None:
        await asyncio.sleep(0)
        published.append(answers)

    async def ask(responder: Answering, token: str, all_there: asyncio.Barrier) -> None:
        plain = Question(host=f"{token}.test", kind="http-01", token=token, answer=f"{token}.key")
        secure = Question(host=f"tls-{token}.test", kind="tls-alpn-01", token=f"tls-{token}", answer=f"{token}.key")
        async with responder.answering([plain, secure]):
            await all_there.wait()
            assert published[-1].http == {"a": "a.key", "b": "b.key", "c": "c.key"}
            assert set(published[-1].tls) == {"tls-a.test", "tls-b.test", "tls-c.test"}
            await all_there.wait()

    async def run() -> None:
        responder = Answering(publish)
        all_there = asyncio.Barrier(3)
        await asyncio.gather(*(ask(responder, token, all_there) for token in "abc"))

    asyncio.run(run())
    assert published[-1] == Answers()


def test_over_tls_one_question_of_a_host_waits_for_the_other() -> None:
    """Nothing but the host tells them apart, so that the second would take the first one's place."""
    published: list[Answers] = []
    order: list[str] = []

    async def publish(answers: Answers) -> None:
        published.append(answers)

    async def ask(responder: Answering, token: str, hosts: list[str], two: asyncio.Event, go_on: asyncio.Event) -> None:
        questions = [Question(host=host, kind="tls-alpn-01", token=token, answer=f"{token}.key") for host in hosts]
        async with responder.answering(questions):
            order.append(token)
            if len(order) == 2:
                two.set()
            await go_on.wait()

    async def run() -> None:
        responder, two, go_on = Answering(publish), asyncio.Event(), asyncio.Event()
        asked = [
            asyncio.create_task(ask(responder, token, hosts, two, go_on))
            for token, hosts in (("first", ["a.test", "b.test"]), ("second", ["b.test"]), ("other", ["c.test"]))
        ]
        await two.wait()
        assert order == ["first", "other"]
        go_on.set()
        await asyncio.gather(*asked)

    asyncio.run(run())
    assert order == ["first", "other", "second"]
    assert published[-1] == Answers()

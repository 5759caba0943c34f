"""gRPC, with grpcio on both sides: every kind of call, its deadlines and its statuses, whatever happens on the way."""

import asyncio
import socket
import time
from collections.abc import Iterator

import grpc
import pytest

from ..support.balancer import run_verb
from ..support.endpoint import Endpoint
from ..support.grpc_server import GrpcServer
from ..support.http2 import Http2Client
from ..support.http2_endpoint import Http2Endpoint

H2 = 'protocol = "h2"'
LOGGED = 'access_log = "-"'
Status = grpc.StatusCode


@pytest.fixture
def greeters() -> Iterator:
    """Starts servers: `a, b = greeters("a", "b")`."""
    running: list[GrpcServer] = []

    def start(*names: str) -> list[GrpcServer]:
        running.extend(GrpcServer(name) for name in names)
        return running[-len(names) :]

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def calls(web):
    """A balancer before endpoints, and a channel to it: `serving = calls(a, b)`, `serving.unary(b"x")`."""
    channels: list[grpc.Channel] = []

    def start(*endpoints: object, pool: str = "", top: str = "", **parts: str):
        serving = web(*endpoints, pool=f"{H2}\n{pool}", top=f"{LOGGED}\n{top}", **parts)
        channel = grpc.insecure_channel(str(serving.port), [("grpc.use_local_subchannel_pool", 1)])
        channels.append(channel)
        serving.unary = channel.unary_unary("/test.Echo/Unary")
        serving.down = channel.unary_stream("/test.Echo/Down")
        serving.up = channel.stream_unary("/test.Echo/Up")
        serving.both = channel.stream_stream("/test.Echo/Both")
        serving.missing = channel.unary_unary("/test.Echo/Missing")
        return serving

    yield start
    for channel in channels:
        channel.close()


def refused(call, *arguments, **options) -> grpc.RpcError:
    """The error that a call ends with."""
    with pytest.raises(grpc.RpcError) as error:
        list(call(*arguments, **options)) if options.pop("streams", False) else call(*arguments, **options)
    return error.value


def test_the_four_kinds_of_calls(calls, greeters) -> None:
    """One message or many, either way; messages larger than any window; metadata both ways."""
    serving = calls(*greeters("a"))
    assert serving.unary(b"hello", timeout=10) == b"a:hello"
    large = b"x" * (3 << 20)
    assert serving.unary(large, timeout=30) == b"a:" + large
    assert [len(each) for each in serving.down(b"100", timeout=30)] == [1, *(len(str(n)) * 1000 for n in range(100))]
    assert serving.up(iter([b"1", b"22", b"x" * 100_000]), timeout=30) == b"a:3:100003"
    assert list(serving.both(iter([b"1", b"2", b"3"]), timeout=10)) == [b"a:1", b"a:2", b"a:3"]
    got, call = serving.unary.with_call(b"metadata", metadata=[("x-leading", "a")], timeout=10)
    assert b"'x-leading': 'a'" in got
    assert ("x-trailing", "b") in [(each.key, each.value) for each in call.trailing_metadata()]
    line = serving.balancer.access(target="/test.Echo/Up")
    assert (line["status"], line["grpc_status"], line["protocol"]) == (200, 0, "HTTP/2.0")
    serving.balancer.until(lambda: serving.balancer.metric("evenly_pool_grpc_calls_total", status="OK") == 6)


def test_a_dialogue_goes_on_in_both_directions(calls, greeters) -> None:
    """Each message is answered before the next is sent, over pauses longer than the deadline for a silent body."""
    serving = calls(*greeters("a"), listener='timeouts = { body = "200ms" }\nlimits = { min_rate = "100KiB/s" }')

    async def talk() -> list[bytes]:
        async with grpc.aio.insecure_channel(str(serving.port)) as channel:
            call = channel.stream_stream("/test.Echo/Both")(timeout=30)
            heard = []
            for number in range(3):
                reading = asyncio.ensure_future(call.read())
                # Longer than a body may be silent that is not a call's: nothing is to happen here.
                assert not (await asyncio.wait({reading}, timeout=0.5))[0]
                await call.write(str(number).encode())
                heard.append(await reading)
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
            assert await call.code() is Status.OK
            return heard

    assert asyncio.run(talk()) == [b"a:0", b"a:1", b"a:2"]


def test_statuses_of_the_endpoint_pass_and_are_counted(calls, greeters) -> None:
    """Trailers alone, too; a method that nobody has."""
    serving = calls(*greeters("a"))
    for status in (Status.NOT_FOUND, Status.UNAVAILABLE, Status.INTERNAL):
        error = refused(serving.unary, b"abort %d" % status.value[0], timeout=10)
        assert (error.code(), error.details()) == (status, "as told")
        serving.balancer.until(
            lambda name=status.name: serving.balancer.metric("evenly_pool_grpc_calls_total", status=name) == 1
        )
    assert refused(serving.missing, b"", timeout=10).code() is Status.UNIMPLEMENTED
    assert serving.balancer.access(target="/test.Echo/Missing")["grpc_status"] == 12
    told = dict.fromkeys(("INTERNAL", "NOT_FOUND", "UNAVAILABLE", "UNIMPLEMENTED"), 1)
    serving.balancer.until(lambda: serving.balancer.status()["pools"][0]["grpc"] == told)
    shown = run_verb("status", "--admin", str(serving.balancer.admin_path)).stdout
    assert "  gRPC: 4 calls · 0 OK · 1 INTERNAL, 1 NOT_FOUND, 2 other\n" in shown


def test_deadlines_and_cancellation(calls, greeters) -> None:
    """The endpoint hears of both; the next call finds everything as it was."""
    serving = calls(*greeters("a"))
    assert refused(serving.unary, b"wait", timeout=0.5).code() is Status.DEADLINE_EXCEEDED
    call = serving.down(b"-", timeout=30)
    assert next(call) == b"a"
    call.cancel()
    with pytest.raises(grpc.RpcError):
        next(call)
    assert call.code() is Status.CANCELLED
    line = serving.balancer.access(target="/test.Echo/Down")
    assert line["reason"] == "client-gone"
    assert serving.unary(b"after", timeout=10) == b"a:after"
    assert serving.balancer.metric("evenly_upstream_connections_total", reused="false") == 1


def test_a_call_that_nobody_ends_is_ended(calls) -> None:
    """`grpc-timeout` holds where client and endpoint forget it, before the answer and within it; the pool's too."""
    fields = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "300m")]
    with Http2Endpoint() as playing:
        serving = calls(playing, pool='timeouts = { request = "1s" }')
        with Http2Client(socket.create_connection(serving.port.address, 10)) as client:
            stream = client.begin("/test.Echo/Within", *fields, method="POST")
            peer = playing.accept()
            asked = peer.request()
            assert (asked.head["grpc-timeout"], asked.head["te"]) == ("300m", "trailers")
            peer.head(asked.stream, ("content-type", "application/grpc"))
            peer.data(asked.stream, b"message")
            answer = client.wait(stream)
            assert (answer.text, dict(answer.trailers or [])["grpc-status"]) == ("message", "4")
            peer.wait(lambda: asked.reset is not None)
            assert serving.balancer.access(target="/test.Echo/Within")["reason"] == "request-deadline"
            for given in (fields, fields[:2]):
                stream = client.begin("/test.Echo/Before", *given, method="POST")
                asked = peer.request()
                answer = client.wait(stream)
                assert (answer.status, answer.one("grpc-status"), answer.trailers) == (200, "4", None)
                peer.wait(lambda asked=asked: asked.reset is not None)
        line = serving.balancer.access(target="/test.Echo/Before")
        assert (line["status"], line["grpc_status"], line["reason"]) == (200, 4, "request-deadline")


def test_what_evenly_says_itself(calls, greeters, endpoint: Endpoint) -> None:
    """Every refusal is a status of gRPC, of trailers alone."""
    routes = """
[[routes]]
path = "/test.Echo/Both"
access = { allow = ["192.0.2.0/24"] }
pool = "app"

[[routes]]
path = "/test.Echo/Up"
pool = "nobody"

[[routes]]
path = "/test.Echo/Unary"
pool = "app"

[pools.nobody]
endpoints = []
"""
    serving = calls(endpoint, pool='timeouts = { connect = "200ms" }\nretry = 1', routes=routes)
    assert refused(serving.unary, b"", timeout=10).code() is Status.DEADLINE_EXCEEDED
    error = refused(serving.up, iter([b""]), timeout=10)
    assert (error.code(), error.details()) == (Status.UNAVAILABLE, "Service Unavailable")
    assert refused(serving.missing, b"", timeout=10).code() is Status.UNIMPLEMENTED
    with pytest.raises(grpc.RpcError) as denied:
        list(serving.both(iter([b""]), timeout=10))
    assert denied.value.code() is Status.PERMISSION_DENIED
    line = serving.balancer.access(target="/test.Echo/Up")
    assert (line["status"], line["grpc_status"], line["reason"]) == (200, 14, "no-endpoint-empty")


def test_a_thousand_streams_at_once(calls, greeters) -> None:
    """All of them open at the same time, over a few connections to two endpoints, each with its own answers."""
    serving = calls(*greeters("a", "b"), listener="limits = { streams = 1000 }")

    async def talk() -> set[bytes]:
        async with grpc.aio.insecure_channel(str(serving.port)) as channel:
            both = channel.stream_stream("/test.Echo/Both")
            streams = [both(timeout=100) for _ in range(1000)]

            async def say(number: int, word: str) -> bytes:
                await streams[number].write(f"{number} {word}".encode())
                name, _, rest = (await streams[number].read()).partition(b":")
                assert rest.decode() == f"{number} {word}"
                return name

            first = await asyncio.gather(*(say(number, "first") for number in range(1000)))
            again = await asyncio.gather(*(say(number, "again") for number in range(1000)))
            assert first == again
            for stream in streams:
                await stream.done_writing()
            codes = await asyncio.gather(*(stream.code() for stream in streams))
            assert set(codes) == {Status.OK}
            return {name: first.count(name) for name in set(first)}

    assert asyncio.run(talk()) == {b"a": 500, b"b": 500}
    assert serving.balancer.metric("evenly_upstream_connections_total", reused="false") <= 12


def test_an_endpoint_that_dies_takes_its_own_calls_alone(calls, greeters) -> None:
    """They end with UNAVAILABLE; those on the other endpoint go on, and so do new ones."""
    a, b = greeters("a", "b")
    serving = calls(a, b)

    async def talk() -> None:
        async with grpc.aio.insecure_channel(str(serving.port)) as channel:
            both, unary = channel.stream_stream("/test.Echo/Both"), channel.unary_unary("/test.Echo/Unary")
            streams = [both(timeout=60) for _ in range(40)]
            names = []
            for stream in streams:
                await stream.write(b"first")
                names.append((await stream.read()).partition(b":")[0])
            await asyncio.to_thread(a.kill)
            for stream, name in zip(streams, names, strict=True):
                if name == b"a":
                    assert await stream.code() is Status.UNAVAILABLE
                else:
                    await stream.write(b"second")
                    assert await stream.read() == b"b:second"
                    await stream.done_writing()
                    assert await stream.code() is Status.OK
            assert names.count(b"a") == 20
            assert {await unary(b"new", timeout=10) for _ in range(10)} == {b"b:new"}

    asyncio.run(talk())


def test_outlier_detection_goes_by_the_calls_status(calls, greeters) -> None:
    """An endpoint whose calls all fail, with 200, loses its traffic; a client's mistakes cost none."""
    serving = calls(
        *greeters("a", "b"),
        pool='outlier_detection = { interval = "100ms", consecutive_5xx = 3, max_ejection_time = "1h" }',
    )
    for _ in range(20):
        refused(serving.unary, b"abort 5", timeout=10)
    assert serving.balancer.metric("evenly_endpoint_ejections_total") == 0
    serving.balancer.until(
        lambda: (
            refused(serving.unary, b"abort 13", timeout=10)
            and serving.balancer.metric("evenly_endpoint_ejections_total")
        )
    )


def test_health_checks_by_grpc(calls, greeters) -> None:
    """Who says that it does not serve gets no calls."""
    a, b = greeters("a", "b")
    check = '{ type = "grpc", service = "test.Echo", interval = "50ms", unhealthy_interval = "50ms" }'
    serving = calls(a, b, pool=f"health_check = {check}")
    answers = {serving.unary(b"hello", timeout=10) for _ in range(10)}
    assert answers == {b"a:hello", b"b:hello"}
    sick = serving.unary(b"sick", timeout=10).partition(b":")[0].decode()
    serving.balancer.until(lambda: serving.balancer.metric("evenly_endpoint_state", state="unhealthy") == 1)
    well = {"a": b"b", "b": b"a"}[sick]
    assert {serving.unary(b"hello", timeout=10) for _ in range(10)} == {well + b":hello"}
    assert serving.balancer.log.wait(lambda line: "health status NOT_SERVING" in line)


UNAVAILABLE = ("grpc-status", "14"), ("grpc-message", "busy")
AGAIN = 'retry = { attempts = 2, on = "grpc-unavailable" }'


@pytest.fixture
def played(web) -> Iterator:
    """A client, an endpoint that the test plays, and what is between them: `client, endpoint, serving = played()`."""
    with Http2Endpoint() as playing:
        clients: list[Http2Client] = []

        def start(pool: str = AGAIN):
            serving = web(playing, pool=f"{H2}\n{pool}", top=LOGGED)
            clients.append(Http2Client(socket.create_connection(serving.port.address, 10)))
            return clients[0], playing, serving

        yield start
        for client in clients:
            client.socket.close()


def call(client: Http2Client, body: bytes = b"message") -> int:
    """Begins a call, and sends its message."""
    fields = ("content-type", "application/grpc"), ("te", "trailers")
    stream = client.begin("/test.Echo/Unary", *fields, method="POST", ends=False)
    client.send(stream, body)
    return stream


def test_a_status_that_is_named_has_the_call_tried_again(played) -> None:
    """Its client hears of the second try alone; the first one counts against the endpoint, and is no call."""
    client, playing, serving = played()
    stream = call(client)
    endpoint = playing.accept()
    for is_last in (False, True):
        asked = endpoint.request()
        assert (asked.head[":method"], asked.body) == ("POST", b"message")
        if is_last:
            endpoint.answer(asked.stream, b"answer", trailers=[("grpc-status", "0")])
        else:
            endpoint.head(asked.stream, *UNAVAILABLE, ends=True)
    answer = client.wait(stream)
    assert (answer.text, answer.trailers) == ("answer", [("grpc-status", "0")])
    line = serving.balancer.access(target="/test.Echo/Unary")
    assert (line["attempts"], line["grpc_status"]) == (2, 0)
    assert serving.balancer.metric("evenly_pool_retries_total", pool="app", reason="status") == 1
    serving.balancer.until(lambda: serving.balancer.metric("evenly_pool_grpc_calls_total", status="OK") == 1)
    assert serving.balancer.metric("evenly_pool_grpc_calls_total", status="UNAVAILABLE") == 0


def test_the_last_tries_status_is_the_clients(played) -> None:
    """And so is one that is not named, one behind a message, and one of a call that is too long to be kept."""
    client, playing, serving = played(f'{AGAIN[:-2]}, body = "1KiB" }}')
    stream = call(client)
    endpoint = playing.accept()
    for _ in range(2):
        endpoint.head(endpoint.request().stream, *UNAVAILABLE, ends=True)
    assert client.wait(stream).one("grpc-status") == "14"
    for body, trailers_only in ((b"message", False), (b"x" * 2000, True)):
        stream = call(client, body)
        asked = endpoint.request().stream
        if trailers_only:
            endpoint.head(asked, *UNAVAILABLE, ends=True)
            assert client.wait(stream).one("grpc-message") == "busy"
        else:
            endpoint.answer(asked, b"begun", trailers=list(UNAVAILABLE))
            assert client.wait(stream).trailers == list(UNAVAILABLE)
    stream = call(client)
    endpoint.head(endpoint.request().stream, ("grpc-status", "13"), ends=True)
    assert client.wait(stream).one("grpc-status") == "13"
    assert serving.balancer.metric("evenly_pool_retries_total", pool="app", reason="status") == 1


@pytest.mark.parametrize("names", [("a",), ("a", "b")], ids=["alone", "elsewhere"])
def test_a_time_that_servers_ask_for_is_waited_for(calls, greeters, names) -> None:
    """`grpc-retry-pushback-ms` is for whoever is asked next: another endpoint, too, which nothing else waits for."""
    serving = calls(*greeters(*names), pool='retry = { attempts = 3, on = "grpc-unavailable", try_timeout = "300ms" }')
    began = time.monotonic()
    answer = serving.unary(b"pushback 400", timeout=30)
    took = time.monotonic() - began
    assert answer.partition(b":")[2] == b"pushback 400"
    assert 0.4 * len(names) <= took < 0.4 * len(names) + 10
    line = serving.balancer.access(target="/test.Echo/Unary")
    assert (line["attempts"], line["grpc_status"]) == (1 + len(names), 0)
    assert serving.balancer.metric("evenly_pool_retries_total", pool="app", reason="status") == len(names)


@pytest.mark.parametrize("said", [b"-1", b"60000"])
def test_a_no_of_servers_is_the_clients_answer(calls, greeters, said) -> None:
    """And so is a time that is not over before the call's is."""
    serving = calls(*greeters("a", "b"), pool='retry = { attempts = 3, on = "grpc-unavailable" }')
    error = refused(serving.unary, b"pushback " + said, timeout=20)
    assert (error.code(), error.details()) == (Status.UNAVAILABLE, "busy")
    assert ("grpc-retry-pushback-ms", said.decode()) in [(each.key, each.value) for each in error.trailing_metadata()]
    line = serving.balancer.access(target="/test.Echo/Unary")
    assert (line["attempts"], line["grpc_status"]) == (1, 14)
    assert serving.balancer.metric("evenly_pool_retries_total", pool="app", reason="status") == 0


def test_trailers_of_http1_end_a_call_too(web, endpoint: Endpoint) -> None:
    """An endpoint of HTTP/1.1 may answer calls: what its trailers say is how they ended."""
    serving = web(endpoint, top=LOGGED)
    with Http2Client(socket.create_connection(serving.port.address, 10)) as client:
        for status in ("0", "13"):
            stream = call(client)
            endpoint.serve(
                "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nConnection: close\r\n"
                f"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: {status}\r\n\r\n"
            )
            answer = client.wait(stream)
            assert (answer.text, answer.trailers) == ("ok", [("grpc-status", status)])
    counted = serving.balancer.metric
    serving.balancer.until(lambda: counted("evenly_pool_grpc_calls_total", status="OK") == 1)
    assert counted("evenly_pool_grpc_calls_total", status="INTERNAL") == 1

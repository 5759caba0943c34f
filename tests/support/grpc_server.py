"""A server of gRPC, by grpcio, in a process of its own: it can be killed. Messages are plain bytes.

    python -m tests.support.grpc_server NAME [CERTIFICATE KEY]

prints its port. `/test.Echo/…` has the four kinds of calls; see `Echo`.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import grpc

from .authority import Files

HEALTH = "/grpc.health.v1.Health/Check"
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


class Echo(grpc.GenericRpcHandler):
    """Answers what it is asked, with its name before it. Some messages are orders."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.health = SERVING
        self.has_pushed_back = False

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Which method a call is of."""
        match call.method:
            case "/test.Echo/Unary":
                return grpc.unary_unary_rpc_method_handler(self.unary)
            case "/test.Echo/Down":
                return grpc.unary_stream_rpc_method_handler(self.down)
            case "/test.Echo/Up":
                return grpc.stream_unary_rpc_method_handler(self.up)
            case "/test.Echo/Both":
                return grpc.stream_stream_rpc_method_handler(self.both)
            case "/grpc.health.v1.Health/Check":
                return grpc.unary_unary_rpc_method_handler(self.check)
        return None

    async def unary(self, message: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        """`abort N`: with that status. `wait`: for ever. `metadata`: what came.

        `pushback TEXT`: the first time, as unavailable with that.
        """
        if message.startswith(b"abort "):
            status = next(each for each in grpc.StatusCode if each.value[0] == int(message[6:]))
            await context.abort(status, "as told")
        if message.startswith(b"pushback ") and not self.has_pushed_back:
            self.has_pushed_back = True
            context.set_trailing_metadata((("grpc-retry-pushback-ms", message[9:].decode()),))
            await context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        if message == b"wait":
            await asyncio.Event().wait()
        if message == b"sick":
            self.health = NOT_SERVING
        if message == b"metadata":
            context.set_trailing_metadata((("x-trailing", "b"),))
            return repr(dict(context.invocation_metadata() or ())).encode()
        return self.name + b":" + message

    async def down(self, message: bytes, _context: Any) -> AsyncIterator[bytes]:
        """As many messages as it says; `-` never ends after the first."""
        yield self.name
        if message == b"-":
            await asyncio.Event().wait()
        for number in range(int(message)):
            yield str(number).encode() * 1000

    async def up(self, messages: AsyncIterator[bytes], _context: Any) -> bytes:
        """How many bytes came in how many messages."""
        sizes = [len(message) async for message in messages]
        return self.name + f":{len(sizes)}:{sum(sizes)}".encode()

    async def both(self, messages: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        """Each at once."""
        async for message in messages:
            yield self.name + b":" + message

    async def check(self, _message: bytes, _context: Any) -> bytes:
        """The health service."""
        return self.health


class GrpcServer:
    """Such a process. Its text is its address."""

    def __init__(self, name: str, tls: Files | None = None) -> None:
        self.name = name
        root = Path(__file__).parent.parent.parent
        command = [sys.executable, "-m", "tests.support.grpc_server", name]
        command += [str(tls.cert), str(tls.key)] if tls else []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __str__(self) -> str:
        return f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Ends it at once, without a word to its clients."""
        self.process.kill()
        self.process.wait(10)


def read(cert: str, key: str) -> grpc.ServerCredentials:
    """What a server shows under TLS."""
    return grpc.ssl_server_credentials([(Path(key).read_bytes(), Path(cert).read_bytes())])


async def main(name: str, credentials: grpc.ServerCredentials | None) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(name),))
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    own, *files = sys.argv[1:]
    asyncio.run(main(own, read(*files) if files else None))

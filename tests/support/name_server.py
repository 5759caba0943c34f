"""A DNS server that a test plays: it answers over UDP and TCP from records that the test may change at any time.

Not dnspython's idea of a server (it has none): messages are read and written by dnspython, and everything else is here.
"""

import asyncio
import contextlib
import struct
import threading
from collections import Counter
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from .wire import DEADLINE

LARGEST_DATAGRAM = 512


class NameServer:
    """A server on a free port of 127.0.0.1, in a thread of its own.

    `records` are texts by name and kind; `ttl` is theirs; `rcode` makes every answer a failure; `silent` answers
    nothing; `asked` counts questions.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.ttl = 0
        self.rcode = dns.rcode.NOERROR
        self.silent = False
        self.asked: Counter[tuple[str, str]] = Counter()
        self.address = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="name-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(DEADLINE)
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()
        self._server.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()

    def set(self, name: str, kind: str, *texts: str) -> None:
        """Replaces the records of a name and kind."""
        self.records[name.rstrip(".").lower(), kind] = list(texts)

    def answer(self, wire: bytes, limit: int = 65_535) -> bytes | None:
        """What is sent back for a query."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind] += 1
        if self.silent:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        response.set_rcode(self.rcode)
        if self.rcode == dns.rcode.NOERROR:
            self._fill(response, name, kind)
        answer = response.to_wire()
        if len(answer) <= limit:
            return answer
        short = dns.message.make_response(query)
        short.flags |= dns.flags.TC | dns.flags.RA
        return short.to_wire()

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        if not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        alias = self.records.get((name, "CNAME"))
        if alias is not None:
            response.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", "CNAME", *alias))
            name = alias[0].rstrip(".").lower()
        if texts := self.records.get((name, kind)):
            response.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", kind, *texts))

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve_stream, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self._transport, _ = await self._loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=("127.0.0.1", port)
        )
        self.address = f"127.0.0.1:{port}"

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                answer = self.answer(await reader.readexactly(length))
                if answer is not None:
                    writer.write(struct.pack("!H", len(answer)) + answer)
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data, LARGEST_DATAGRAM)
        if answer is not None:
            self._transport.sendto(answer, addr)

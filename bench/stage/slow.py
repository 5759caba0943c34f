"""Origins that take their time: `python -m bench.stage.slow PORT MILLISECONDS [PORT MILLISECONDS …]`.

Each answers every request with a small 200 after its time, however many it has: slow, not overloaded.
"""

import asyncio
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100


async def serve(port: int, seconds: float) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(seconds)
                writer.write(ANSWER)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def main() -> None:
    arguments = [int(argument) for argument in sys.argv[1:]]
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    await asyncio.gather(*(serve(port, milliseconds / 1000) for port, milliseconds in pairs))


if __name__ == "__main__":
    asyncio.run(main())

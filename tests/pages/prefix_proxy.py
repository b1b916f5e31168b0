"""A reverse proxy that serves another server below a path, in a process of its own.

``python -m tests.pages.prefix_proxy UPSTREAM_PORT /prefix keep|strip`` prints the port that it listens on. It hands the
path on as it is, or takes the prefix away; one request a connection, websockets included.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def prefix_proxy(upstream_port: int, prefix: str, how: str) -> Iterator[int]:
    """Port of a proxy that runs as long as this context."""
    command = [sys.executable, "-m", "tests.pages.prefix_proxy", str(upstream_port), prefix, how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def _listen(upstream_port: int, prefix: bytes, is_stripping: bool) -> None:
    """Serve until the process is killed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            method, target, rest = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
            path = target.split(b"?")[0]
            if path != prefix and not path.startswith(prefix + b"/"):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                if is_stripping:
                    target = b"/" + target.removeprefix(prefix).removeprefix(b"/")
                if b"upgrade: websocket" not in rest.lower():
                    rest = rest.replace(b"Connection: keep-alive", b"Connection: close")
                there, thither = await asyncio.open_connection("127.0.0.1", upstream_port)
                thither.write(b" ".join((method, target, rest)))
                await asyncio.gather(_pump(reader, thither), _pump(there, writer))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy bytes until the end."""
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


if __name__ == "__main__":
    asyncio.run(_listen(int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3] == "strip"))

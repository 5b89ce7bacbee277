"""Wrong on purpose: lets asyncio be the loop."""

import asyncio
import socket
from collections.abc import Callable


def serve_select(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    """Answer every line of every client until stop_fd is readable."""
    lsock.setblocking(False)
    asyncio.run(_serve(lsock.dup(), handler, stop_fd))


async def _serve(lsock: socket.socket, handler: Callable[[bytes], bytes], stop_fd: int) -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (line := await reader.readline()).endswith(b"\n"):
                writer.write(handler(line[:-1]) + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(stop_fd, stop.set)
    server = await asyncio.start_server(converse, sock=lsock)
    await stop.wait()
    server.close()

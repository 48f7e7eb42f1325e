"""A program with WebSockets that knows nothing of micro-node: it sends back what it is sent, and prints its port.

    http_socket.py serve
    http_socket.py call HOST:PORT     talks to it through a node
"""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

PATIENCE = 20


async def echo(socket):
    headers = socket.request.headers
    await socket.send(f"{socket.request.path} {headers.get('micro-caller')} {headers.get('x-forwarded-for')}")
    async for message in socket:
        if message == "leave":
            await socket.close(4001, "as you wish")
            return
        await socket.send(message)


def refuse(connection, request):
    if request.path.endswith("/closed"):
        return connection.respond(403, "not here\n")


async def listen():
    async with serve(echo, "127.0.0.1", 0, process_request=refuse, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


async def call(api):
    async with connect(f"ws://{api}/app/talk?a=b", max_size=None, open_timeout=PATIENCE) as socket:
        assert await socket.recv() == "/app/talk?a=b anonymous 127.0.0.1"
        # Longer than any buffer between, and both ways at once.
        long = bytes(range(256)) * 8192
        await socket.send("one")
        sending = asyncio.create_task(socket.send(long))
        assert await socket.recv() == "one"
        assert await asyncio.wait_for(socket.recv(), PATIENCE) == long
        await sending
        await asyncio.wait_for(await socket.ping(), PATIENCE)
        await socket.send("leave")
        try:
            await asyncio.wait_for(socket.recv(), PATIENCE)
            raise AssertionError("it goes on")
        except ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "as you wish"), closed
    for path, more, status in [("/app/closed", {}, 403), ("/app/talk", {"Origin": "http://evil.example"}, 403)]:
        try:
            await connect(f"ws://{api}{path}", additional_headers=more, open_timeout=PATIENCE)
            raise AssertionError(f"{path} is open")
        except InvalidStatus as refused:
            assert refused.response.status_code == status, refused


if __name__ == "__main__":
    asyncio.run(listen() if sys.argv[1] == "serve" else call(sys.argv[2]))

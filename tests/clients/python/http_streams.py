"""Streams of the HTTP api as other people's clients have them: `http_streams.py CHECK HOST:PORT`.

Lines and events by httpx2, conversations by websockets, gRPC-Web by hand, since there is no client of it in Python. The
services are `helloworld` of the SDK's examples, and `talker` of the tests. The token comes by MICRO_NODE_TOKEN.
"""

import asyncio
import base64
import json
import os
import struct
import sys

import httpx2
import websockets
from websockets.asyncio.client import connect

PATIENCE = 20
API = sys.argv[2]
TOKEN = os.environ.get("MICRO_NODE_TOKEN")
HEADERS = {"authorization": f"Bearer {TOKEN}"} if TOKEN else {}


def same(found, expected):
    assert found == expected, f"{found!r} in place of {expected!r}"


def http():
    return httpx2.AsyncClient(base_url=f"http://{API}", headers=HEADERS, timeout=PATIENCE)


async def events(response):
    """The events of a response, as a browser reads them (WHATWG HTML, 9.2.6)."""
    event = {}
    async for line in response.aiter_lines():
        if line == "":
            if event:
                yield event
            event = {}
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            event[field] = event[field] + "\n" + value if field == "data" and "data" in event else value


async def lines():
    async with http() as client:
        for request in (
            {"method": "POST", "url": "/helloworld/stream", "json": {"count": 3}},
            {"method": "GET", "url": "/helloworld/stream?count=3"},
            {"method": "POST", "url": "/helloworld/Greeter/Stream", "data": {"count": "3"}},
        ):
            async with client.stream(**request) as response:
                same((response.status_code, response.headers["content-type"]), (200, "application/x-ndjson"))
                same([json.loads(line) async for line in response.aiter_lines()], [{"count": n} for n in range(3)])
        # What fails at once is a status; what fails later is told behind what came before.
        for url, status in (("/talker/fail?at=0", 409), ("/helloworld/stream?count=x", 400), ("/talker/nothing", 404)):
            response = await client.post(url, headers={"content-type": "application/json"})
            same((response.status_code, response.headers["content-type"]), (status, "application/problem+json"))
        async with client.stream("POST", "/talker/fail", json={"at": 2}) as response:
            told = [json.loads(line) async for line in response.aiter_lines()]
        same((response.status_code, told[:2], told[2]["error"]["code"]), (200, [0, 1], "conflict"))
        same((len(told), told[2]["error"]["detail"]), (3, "as asked for"))
        # A stream ends with its deadline.
        headers = {"micro-deadline-ms": "2500"}
        async with client.stream("POST", "/talker/tick", json={"ms": 1000}, headers=headers) as response:
            told = [json.loads(line) async for line in response.aiter_lines()]
        same((told[0], told[-1]["error"]["code"]), (0, "timeout"))


async def said_lines():
    """The caller's side as lines; and both sides in turn."""
    kind = {"content-type": "application/x-ndjson"}
    async with http() as client:
        response = await client.post("/talker/total", content=b"1\n2\n\n39", headers=kind)
        same((response.status_code, response.json()), (200, 42))
        response = await client.post("/talker/total", content=b"1\n{\n", headers=kind)
        same((response.status_code, response.json()["code"]), (400, "usage"))
    # Other clients of HTTP/1.1 say all before they read anything.
    host, port = API.split(":")
    reader, writer = await asyncio.open_connection(host, port)
    head = "POST /helloworld/ping_pong HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n"
    writer.write(f"{head}content-type: application/x-ndjson\r\n\r\n".encode())
    for number in range(5):
        line = b'{"stroke":%d}\n' % number
        writer.write(b"%x\r\n%s\r\n" % (len(line), line))
        said = b""
        while not said.endswith(line):
            said = await asyncio.wait_for(reader.readline(), PATIENCE)
    writer.write(b"0\r\n\r\n")
    rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), PATIENCE)
    assert b"stroke" not in rest, rest
    writer.close()


async def server_sent_events():
    accept = {"accept": "text/event-stream"}
    async with http() as client:
        async with client.stream("GET", "/helloworld/stream?count=2", headers=accept) as response:
            same(response.headers["content-type"], "text/event-stream")
            told = [event async for event in events(response)]
        same([event["id"] for event in told[:2]], ["1", "2"])
        same([json.loads(event["data"]) for event in told[:2]], [{"count": 0}, {"count": 1}])
        same((len(told), told[2]["event"]), (3, "end"))
        # The service learns where the page was, and may name its messages itself.
        seen = {**accept, "last-event-id": "m-41"}
        async with client.stream("GET", "/talker/resume?count=2", headers=seen) as response:
            told = [event async for event in events(response)]
        same([event.get("id") for event in told[:2]], ["m-42", "m-43"])
        async with client.stream("GET", "/talker/fail?at=1", headers=accept) as response:
            told = [event async for event in events(response)]
        same((len(told), told[1]["event"], json.loads(told[1]["data"])["error"]["code"]), (2, "error", "conflict"))


def socket(path, **options):
    options.setdefault("additional_headers", HEADERS)
    return connect(f"ws://{API}{path}", proxy=None, open_timeout=PATIENCE, ping_timeout=PATIENCE, **options)


async def closed(opened):
    """The code of the close, and the messages before it."""
    told = []
    try:
        while True:
            told.append(json.loads(await asyncio.wait_for(opened.recv(), PATIENCE)))
    except websockets.ConnectionClosed:
        return opened.close_code, told


async def sockets():
    async with socket("/helloworld/ping_pong") as opened:
        for number in range(5):
            await opened.send(json.dumps({"stroke": number}))
            same(json.loads(await opened.recv()), {"stroke": number})
        pong = await opened.ping()
        await asyncio.wait_for(pong, PATIENCE)
        await opened.send("")
        same(await closed(opened), (1000, []))
    # One message, in the query or as the first; and an answer to many.
    for path, said in (("/helloworld/stream?count=3", []), ("/helloworld/stream", [{"count": 3}])):
        async with socket(path) as opened:
            for message in said:
                await opened.send(json.dumps(message))
            same(await closed(opened), (1000, [{"count": number} for number in range(3)]))
    async with socket("/talker/total") as opened:
        for number in range(10):
            await opened.send(str(number))
        await opened.send("")
        same(await closed(opened), (1000, [45]))
    # What is wrong is told, and the code says what kind of wrong it is.
    for path, message, code, error in (
        ("/helloworld/ping_pong", "{", 1007, "usage"),
        ("/helloworld/ping_pong", b"\x00", 1003, "usage"),
        ("/helloworld/ping_pong", "x" * (1 << 20) + "x", 1009, "usage"),
        ("/helloworld/ping_pong", '{"stroke":"x"}', 1008, "usage"),
        ("/talker/fail", '{"at":0}', 1011, "conflict"),
    ):
        async with socket(path) as opened:
            await opened.send(message)
            found, told = await closed(opened)
            same((message[:20], found, told[-1]["error"]["code"]), (message[:20], code, error))
    # What has one answer takes none, and says so.
    try:
        async with socket("/helloworld/call?name=Jane"):
            raise AssertionError("a call is no WebSocket")
    except websockets.InvalidStatus as refused:
        same((refused.response.status_code, b"takes no WebSocket" in refused.response.body), (400, True))
    # A page of an origin that is not listed does not get so far.
    for options, status in (
        ({"origin": "https://evil.example"}, 403),
        ({"additional_headers": {"authorization": "Bearer wrong"}}, 401),
        ({"subprotocols": ["micro-node.v1", "bearer.wrong.token.x"], "additional_headers": {}}, 401),
    ):
        try:
            async with socket("/helloworld/ping_pong", **options):
                raise AssertionError(f"it was let in with {options}")
        except websockets.InvalidStatus as refused:
            same(refused.response.status_code, status)
    if TOKEN and "." in TOKEN:
        protocols = ["micro-node.v1", f"bearer.{TOKEN}"]
        async with socket("/helloworld/stream?count=1", subprotocols=protocols, additional_headers={}) as opened:
            same(opened.subprotocol, "micro-node.v1")
            same(await closed(opened), (1000, [{"count": 0}]))


async def web(path, message, text=False, **headers):
    """A call of gRPC-Web: the messages that are answered, and the trailers."""
    body = struct.pack(">BI", 0, len(message)) + message
    kind = "application/grpc-web-text" if text else "application/grpc-web+proto"
    body = base64.b64encode(body) if text else body
    headers = {"content-type": kind, "accept": kind, "x-grpc-web": "1", **headers}
    async with http() as client:
        response = await client.post(path, content=body, headers=headers)
    same(response.status_code, 200)
    content = response.content
    if text:
        # Each piece may end with a padding of its own.
        content = b"".join(base64.b64decode(piece + b"=" * (-len(piece) % 4)) for piece in content.replace(b"=", b" ").split())
    messages, trailers = [], {name: value for name, value in response.headers.items() if name.startswith("grpc-")}
    while content:
        flag, length = struct.unpack(">BI", content[:5])
        part, content = content[5 : 5 + length], content[5 + length :]
        if flag & 0x80:
            trailers.update(line.split(":", 1) for line in part.decode().strip().split("\r\n"))
        else:
            messages.append(part)
    return messages, trailers["grpc-status"].strip(), response.headers


async def grpc_web():
    for text in (False, True):
        messages, status, _ = await web("/helloworld.Greeter/Call", b'{"name":"Jane"}', text)
        same(([json.loads(message) for message in messages], status), ([{"msg": "Hello Jane"}], "0"))
        messages, status, _ = await web("/helloworld.Greeter/Stream", b'{"count":3}', text)
        same(([json.loads(message)["count"] for message in messages], status), ([0, 1, 2], "0"))
    messages, status, _ = await web("/helloworld.Greeter/Nothing", b"{}")
    same((messages, status), ([], "12"))
    # The platform's: a status that is asked for without anything.
    messages, status, _ = await web("/micro.v1.Node/Status", b"")
    same((len(messages), status), (1, "0") if TOKEN else (0, "16"))
    _, status, headers = await web("/helloworld.Greeter/Call", b'{"name":"J"}', origin="https://app.example.org")
    same((status, headers["access-control-allow-origin"]), ("0", "https://app.example.org"))
    assert "grpc-status" in headers["access-control-expose-headers"], headers


async def ends():
    """Tells that all of them go on, and then how each of them ends: the node is stopped meanwhile."""
    begun = asyncio.Semaphore(0)

    async def by_lines():
        async with http() as client:
            async with client.stream("POST", "/talker/tick", json={"ms": 50}) as response:
                begun.release()
                told = [json.loads(line) async for line in response.aiter_lines()]
                return told[-1]["error"]["code"]

    async def by_events():
        async with http() as client:
            headers = {"accept": "text/event-stream"}
            async with client.stream("POST", "/talker/tick", json={"ms": 50}, headers=headers) as response:
                begun.release()
                told = [event async for event in events(response)]
                return json.loads(told[-1]["data"])["error"]["code"]

    async def by_socket():
        async with socket("/talker/tick?ms=50") as opened:
            begun.release()
            code, told = await closed(opened)
            return f"{code} {told[-1]['error']['code']}"

    async def all_begun():
        for _ in range(3):
            await begun.acquire()
        print("begun", flush=True)

    *ended, _ = await asyncio.wait_for(asyncio.gather(by_lines(), by_events(), by_socket(), all_begun()), PATIENCE)
    print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1]]())

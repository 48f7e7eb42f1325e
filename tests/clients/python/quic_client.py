"""Does to a node's mesh port what the files of a folder say, by `aioquic`: a QUIC that shares no code with the node's.

usage: quic_client.py HOST PORT CORPUS IDENTITIES

IDENTITIES is a folder of certificates and keys: NAME.pem with the chain, NAME.key.pem with the key. A file of the corpus
says in lines that begin with `#` what it is about, then

    expect OUTCOME | OUTCOME
    datagram BYTES            is sent as it is; it may be there again
  or
    as NAME                   with that identity; nobody's if it is left out
    speaks mesh, join, renewal, nothing, or a list of protocols
    asks NAME                 the name of the server that is wanted
    hello                     greets first, as a node does
    stream BYTES              a stream with an end; `open` is one without, `tell` one to the node only, `reset` is given up

    packet BYTES              a datagram frame, as what goes over relays is
with one of `stream`, `open`, `tell` and `reset`, or none. In BYTES, `\\xNN`, `\\r`, `\\n`, `\\t` and `\\\\` are bytes,
`$(text*N)` is the text N times, and CLUSTER and NODE are what the identity `member` is of.

Outcomes: `nothing`, `versions` (a negotiation), `less` and `more` (bytes than were sent), `alert N` (of TLS), `closed N`,
`reset N` (or told to stop), `fault` and `body` (an answer to a call), `answer` (any other), `silent` (open, without one).
Each finding is a line on standard output; it ends with how many files there were. Whatever came back is kept out of it.
"""

import asyncio
import re
import ssl
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from cryptography import x509

# How long it is waited for what should not come, and for what should.
PATIENCE = 2.0
LONG = 30.0
AT_ONCE = 16
# A node hears eight strangers at once.
STRANGERS_AT_ONCE = 4
ANSWERED = ("fault", "body", "answer")
ESCAPES = {ord("r"): 13, ord("n"): 10, ord("t"): 9}


def unescaped(text):
    while found := re.search(r"\$\((.*?)\*(\d+)\)", text):
        text = text[: found.start()] + found[1] * int(found[2]) + text[found.end() :]
    raw, out, at = text.encode(), bytearray(), 0
    while at < len(raw):
        if raw[at] != ord("\\"):
            out.append(raw[at])
            at += 1
        elif raw[at + 1] == ord("x"):
            out.append(int(raw[at + 2 : at + 4], 16))
            at += 4
        else:
            out.append(ESCAPES.get(raw[at + 1], raw[at + 1]))
            at += 2
    return bytes(out)


class Case:
    def __init__(self, path, names):
        self.name, self.datagrams, self.words, self.sends = path.stem, [], {}, []
        for line in path.read_text().splitlines():
            for name, value in names.items():
                line = line.replace(name, value)
            word, _, rest = line.partition(" ")
            if word == "datagram":
                self.datagrams.append(unescaped(rest))
            elif word in ("stream", "open", "tell", "reset", "packet"):
                self.sends.append((word, unescaped(rest)))
            elif word and word != "#":
                self.words[word] = rest
        self.expected = [outcome.strip() for outcome in self.words["expect"].split("|")]

    def agrees(self, outcome):
        return any(outcome == expected or outcome.startswith(expected + " ") for expected in self.expected)


class Peer(QuicConnectionProtocol):
    """Takes down what the node does."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.shaken, self.closed_with, self.streams = False, None, {}
        self.given_up, self.stopped, self.news = {}, {}, asyncio.Event()

    def quic_event_received(self, event):
        if isinstance(event, events.HandshakeCompleted):
            self.shaken = True
        elif isinstance(event, events.ConnectionTerminated):
            self.closed_with = event
        elif isinstance(event, events.StreamDataReceived):
            told, ended = self.streams.get(event.stream_id, (b"", False))
            self.streams[event.stream_id] = (told + event.data, ended or event.end_stream)
        elif isinstance(event, events.StreamReset):
            self.given_up[event.stream_id] = event.error_code
        elif isinstance(event, events.StopSendingReceived):
            self.stopped[event.stream_id] = event.error_code
        self.news.set()

    def send(self, kind, data):
        if kind == "packet":
            self._quic.send_datagram_frame(data)
            return self.transmit()
        stream = self._quic.get_next_available_stream_id(is_unidirectional=kind == "tell")
        self._quic.send_stream_data(stream, data, end_stream=kind in ("stream", "tell"))
        if kind == "reset":
            self._quic.reset_stream(stream, 7)
        self.transmit()
        return stream

    async def outcome(self, stream, patience=LONG, whole=True):
        """What becomes of a stream, or of the connection. An answer counts when it is `whole`, or once it begins."""
        try:
            async with asyncio.timeout(patience):
                while True:
                    if self.closed_with:
                        return closed(self.closed_with)
                    if stream in self.given_up:
                        return f"reset {self.given_up[stream]}"
                    told, ended = self.streams.get(stream, (b"", False))
                    if ended or (told and not whole):
                        return {b"\0": "body", b"\1": "fault"}.get(told[:1], "answer")
                    # News is for all that wait.
                    self.news = asyncio.Event() if self.news.is_set() else self.news
                    await self.news.wait()
        except TimeoutError:
            if stream in self.stopped:
                return f"reset {self.stopped[stream]}"
            return "answer" if stream in self.streams else "silent"


def closed(event):
    code = event.error_code
    # RFC 9001, 4.8
    return f"alert {code - 0x100}" if event.frame_type is not None and 0x100 <= code < 0x200 else f"closed {code}"


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = []

    def datagram_received(self, data, _address):
        self.received.append(data)


async def datagrams(socket, case):
    loop, (transport, heard) = asyncio.get_running_loop(), socket
    for datagram in case.datagrams:
        transport.sendto(datagram)
        await asyncio.sleep(0)
    end = loop.time() + (PATIENCE if "nothing" in case.expected else LONG)
    while loop.time() < end and (not heard.received or "nothing" in case.expected):
        await asyncio.sleep(PATIENCE / 10)
    if not heard.received:
        return "nothing"
    if all(data[0] & 0x80 and data[1:5] == bytes(4) for data in heard.received):
        return "versions"
    sent, received = sum(map(len, case.datagrams)), sum(map(len, heard.received))
    return "more" if received > sent else "less"


def configuration(case, identities, mesh):
    speaks = case.words.get("speaks", "mesh")
    known = {"mesh": [mesh], "join": ["micro-join/1"], "renewal": ["micro-renewal/1"], "nothing": None}
    settings = QuicConfiguration(
        is_client=True,
        verify_mode=ssl.CERT_NONE,
        server_name=case.words.get("asks", "join.mesh.micro"),
        max_datagram_frame_size=65536,
        alpn_protocols=known.get(speaks, unescaped(speaks).decode().split(",")),
    )
    if name := case.words.get("as"):
        settings.load_cert_chain(identities / f"{name}.pem", identities / f"{name}.key.pem")
    return settings


@asynccontextmanager
async def connected(address, settings, hello=None):
    """A connection, with what became of it: nothing yet, if it is open and the node has answered the greeting."""
    async with connect(*address, configuration=settings, create_protocol=Peer, wait_connected=False) as peer:
        peer.transmit()
        while not peer.closed_with and not peer.shaken:
            peer.news = asyncio.Event() if peer.news.is_set() else peer.news
            await peer.news.wait()
        if peer.closed_with:
            yield peer, closed(peer.closed_with)
        elif hello and (outcome := await peer.outcome(peer.send("stream", hello))) not in ANSWERED:
            yield peer, f"{outcome} at the hello"
        else:
            yield peer, None


async def spoken(peer, case):
    """What becomes of the last stream of a case, or of the connection without one."""
    stream = None
    for kind, data in case.sends:
        stream = peer.send(kind, data)
    patience = PATIENCE if "silent" in case.expected else LONG
    return await peer.outcome(stream, patience, whole=all(kind != "open" for kind, _ in case.sends))


async def connection(address, case, settings, hello):
    try:
        async with asyncio.timeout(2 * LONG), connected(address, settings, hello) as (peer, outcome):
            return outcome or await spoken(peer, case)
    except (TimeoutError, ConnectionError):
        return "nothing"


async def main(host, port, corpus, identities):
    address, identities = (host, int(port)), Path(identities)
    member = x509.load_pem_x509_certificate((identities / "member.pem").read_bytes())
    names = member.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    node, cluster = names.get_values_for_type(x509.DNSName)[0].split(".")[:2]
    cases = [Case(path, {"CLUSTER": cluster, "NODE": node}) for path in sorted(Path(corpus).glob("*.quic"))]
    # Layout 1; the 9th life, drawn 7; IPv4 127.0.0.1:9; a link; version 1; no renewal.
    hello = b"\x04\x01\x00\x09\x07\x00\x7f\x00\x00\x01\x09\x00\x011\x00"
    few, strangers = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(STRANGERS_AT_ONCE)
    mesh = f"micro/5/{cluster}"

    # All at once and before any connection, so that none has the port of a connection that the node still answers.
    sockets = {
        case.name: await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, remote_addr=address)
        for case in cases
        if case.datagrams
    }

    def check(case, outcome):
        if not case.agrees(outcome):
            print(f"{case.name}: {outcome}, not {' or '.join(case.expected)}")

    async def alone(case):
        async with strangers if case.words.get("speaks") in ("join", "renewal") else few:
            if case.datagrams:
                return check(case, await datagrams(sockets[case.name], case))
            greeting = hello if "hello" in case.words else None
            check(case, await connection(address, case, configuration(case, identities, mesh), greeting))

    # A member has one connection at a time: those who greet share it, and the others come before.
    members = [case for case in cases if case.words.get("as") == "member"]
    await asyncio.gather(*(alone(case) for case in cases if case not in members))
    greeted = [case for case in members if "hello" in case.words]
    for case in members:
        if case not in greeted:
            await alone(case)
    async with connected(address, configuration(greeted[0], identities, mesh), hello) as (peer, outcome):
        assert outcome is None, outcome
        outcomes = await asyncio.gather(*(spoken(peer, case) for case in greeted))
    for case, outcome in zip(greeted, outcomes):
        check(case, outcome)
    for transport, _ in sockets.values():
        transport.close()
    print(f"{len(cases)} cases")


asyncio.run(main(*sys.argv[1:]))

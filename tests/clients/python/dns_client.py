"""Looks names of the mesh up with dnspython, which knows nothing of this project: answers that have room in a datagram and
answers that have not, mixed capitals, and two queries on one connection."""

import socket
import sys
import threading
import time

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

import attachment

VERSIONS = 40


def versions(server, port, **more):
    query = dns.message.make_query("shop.micro", "TXT", **more)
    return query, dns.query.udp(query, server, port=port, timeout=10)


def main():
    server, port, node = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    listener = socket.create_server(("127.0.0.1", 0))
    address = "127.0.0.1:%d" % listener.getsockname()[1]
    for number in range(VERSIONS):
        attached = lambda version: attachment.attach(node, "shop", address, ["Cart.add"], version)
        threading.Thread(target=attached, args=("1.0.%d" % number,), daemon=True).start()
    deadline = time.monotonic() + 60
    while True:
        query = dns.message.make_query("shop.micro", "TXT")
        whole = dns.query.tcp(query, server, port=port, timeout=10)
        if whole.answer and len(whole.answer[0]) == VERSIONS:
            break
        assert time.monotonic() < deadline, whole
        time.sleep(0.2)
    assert not whole.flags & dns.flags.TC and whole.flags & dns.flags.AA and not whole.flags & dns.flags.RA

    for room in (None, 512, 1232, 4096):
        more = {} if room is None else {"use_edns": 0, "payload": room}
        query, cut = versions(server, port, **more)
        assert cut.flags & dns.flags.TC and not cut.answer, (room, cut)
        assert len(cut.to_wire()) <= 512, "what is cut is short"
        assert (cut.edns == 0) == (room is not None)
        answer, by_tcp = dns.query.udp_with_fallback(query, server, port=port, timeout=10)
        assert by_tcp and len(answer.answer[0]) == VERSIONS, answer

    # What resolvers do against forged answers: the capitals come back as they went.
    query = dns.message.make_query("sHoP.MiCRo", "A", use_edns=0)
    answer = dns.query.udp(query, server, port=port, timeout=10)
    assert answer.question[0].name.to_text() == "sHoP.MiCRo." and answer.answer[0][0].address == "127.0.0.1", answer

    # Several on one connection, sent before anything is answered (RFC 7766, 6.2.1.1).
    queries = [dns.message.make_query(name, "A") for name in ("shop.micro", "nobody.micro", "example.org")]
    with socket.create_connection((server, port), timeout=10) as stream:
        for query in queries:
            wire = query.to_wire()
            stream.sendall(len(wire).to_bytes(2, "big") + wire)
        codes = [dns.query.receive_tcp(stream, time.time() + 10)[0].rcode() for _ in queries]
    assert codes == [dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.REFUSED], codes

    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [server], port
    srv = resolver.resolve("_grpc._tcp.shop.micro", "SRV")[0]
    assert resolver.resolve(srv.target, "A")[0].address == "127.0.0.1" and srv.port > 0, srv
    # Of all that there is, one record is told that says so (RFC 8482).
    anything = dns.query.udp(dns.message.make_query("shop.micro", "ANY"), server, port=port, timeout=10)
    assert [rrset.rdtype for rrset in anything.answer] == [dns.rdatatype.HINFO], anything
    try:
        resolver.resolve("nobody.micro", "A")
        raise AssertionError("nobody is there")
    except dns.resolver.NXDOMAIN as error:
        soa = error.response(next(iter(error.responses()))).authority[0]
        assert soa.name.to_text() == "micro." and soa.ttl <= 5 and soa[0].minimum <= 5, soa
    print("good", flush=True)


main()

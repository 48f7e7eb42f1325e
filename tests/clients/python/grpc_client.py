"""Calls a node as any gRPC client does: `grpc_client.py CHECK ADDRESS`. Ends with 0 if all is as it should be.

The token comes by MICRO_NODE_TOKEN.
"""

import json
import os
import sys
import threading

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

ECHO = "/acme.echo.v1.Echo/"
PATIENCE = 20


class Node:
    def __init__(self, address, token=None):
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        if address.startswith("unix:"):
            # Of the socket's path it would make an authority that is none (RFC 3986, 3.2).
            options.append(("grpc.default_authority", "localhost"))
        self.channel = grpc.insecure_channel(address, options=options)
        self.metadata = [("authorization", "Bearer " + token)] if token else []

    def call(self, path, request, *metadata, timeout=PATIENCE, **options):
        """A unary call of bytes: the answer, and the call."""
        return self.channel.unary_unary(path).with_call(
            request, metadata=self.metadata + list(metadata), timeout=timeout, **options
        )

    def json(self, path, request, *metadata):
        return json.loads(self.call(path, json.dumps(request).encode(), *metadata)[0])

    def refused(self, path, request=b"", *metadata, **options):
        """The status of a call that fails."""
        try:
            self.call(path, request, *metadata, **options)
        except grpc.RpcError as error:
            return error
        raise AssertionError(f"{path} was answered")


def same(found, expected):
    assert found == expected, f"{found!r} in place of {expected!r}"


def pairs(metadata):
    return [(key, value) for key, value in metadata]


def platform(node):
    """Reading and writing with nothing but what reflection says."""
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(node.channel))
    message = lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName("micro.v1." + name))
    def ask(method, request, answer):
        call = node.channel.unary_unary(
            "/micro.v1.Store/" + method,
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=message(answer).FromString,
        )
        return call(request, metadata=node.metadata, timeout=PATIENCE)
    written = ask("Write", message("WriteRequest")(key="from-python", value=b"\x00\xff"), "WriteResponse")
    read = ask("Read", message("ReadRequest")(key="from-python"), "ReadResponse")
    same((read.record.value, read.record.version), (b"\x00\xff", written.version))


def reflected(node, version, symbol, metadata):
    """The names that reflection lists, and the methods of the file that it gives for a symbol."""
    ask = node.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol),
    ]
    listed, described = ask(iter(requests), metadata=metadata, timeout=PATIENCE)
    file = descriptor_pb2.FileDescriptorProto.FromString(described.file_descriptor_response.file_descriptor_proto[0])
    names = {service.name for service in listed.list_services_response.service}
    return names, [method.name for service in file.service for method in service.method]


def reflection(node):
    """What grpcurl's `list` and `describe` ask, in both versions."""
    for version in ("v1", "v1alpha"):
        names, methods = reflected(node, version, "micro.v1.Store", node.metadata)
        for name in ("micro.v1.Store", "micro.v1.Registry", "grpc.health.v1.Health", f"grpc.reflection.{version}.ServerReflection"):
            assert name in names, f"{name} is not in {names}"
        assert "Write" in methods, methods
    # A person's service has its own.
    stub = reflection_pb2_grpc.ServerReflectionStub(node.channel)
    request = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    metadata = node.metadata + [("micro-service", "py-echo")]
    (listed,) = stub.ServerReflectionInfo(request, metadata=metadata, timeout=PATIENCE)
    assert "acme.echo.v1.Echo" in {service.name for service in listed.list_services_response.service}, listed


def described(node):
    """What a service of protobuf is, which its node tells."""
    for version in ("v1", "v1alpha"):
        metadata = node.metadata + [("micro-service", sys.argv[3])]
        names, methods = reflected(node, version, "acme.till.v1.Till", metadata)
        assert "acme.till.v1.Till" in names, names
        assert "Price" in methods, methods


def health(node):
    stub = health_pb2_grpc.HealthStub(node.channel)
    check = lambda name: stub.Check(health_pb2.HealthCheckRequest(service=name), metadata=node.metadata, timeout=PATIENCE)
    for name in ("", "micro.v1.Store", "py-echo", "acme.echo.v1.Echo"):
        same((name, check(name).status), (name, health_pb2.HealthCheckResponse.SERVING))
    try:
        raise AssertionError(check("nobody"))
    except grpc.RpcError as error:
        same(error.code(), grpc.StatusCode.NOT_FOUND)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="nobody"), metadata=node.metadata, timeout=PATIENCE)
    same(next(watch).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
    watch.cancel()


def greeter(node):
    """A service of the SDK, which takes JSON."""
    hello = {"name": "Jane"}
    for path, metadata in (
        ("/helloworld.Greeter/Call", ()),
        ("/helloworld.Greeter/call", ()),
        ("/any.Greeter/Call", (("micro-service", "helloworld"),)),
    ):
        same(node.json(path, hello, *metadata), {"msg": "Hello Jane"})
    same(node.refused("/helloworld.Greeter/Call", b"{").code(), grpc.StatusCode.INVALID_ARGUMENT)


def missing(node):
    for path in ("/helloworld.Greeter/Cal", "/nobody.Greeter/Call", "/micro.v1.Store/Nothing", "/nothing"):
        error = node.refused(path, b"{}")
        same((path, error.code()), (path, grpc.StatusCode.UNIMPLEMENTED))
    same(node.refused("/nobody.A/B", b"", ("micro-service", "No Name")).code(), grpc.StatusCode.INVALID_ARGUMENT)
    same(node.refused(ECHO + "Unary", b"", ("micro-namespace", "elsewhere")).code(), grpc.StatusCode.UNIMPLEMENTED)


def bytes_as_they_are(node):
    for request in (b"", b"\x00\xff\x00", bytes(range(256)) * 40000):
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            answer, call = node.call(ECHO + "Unary", request, compression=compression)
            assert answer == request, f"{len(answer)} bytes in place of {len(request)}"
    initial, trailing = pairs(call.initial_metadata()), pairs(call.trailing_metadata())
    for pair in (("first", "word"), ("first-bin", b"\x00\xff")):
        assert pair in initial, initial
    for pair in (("last", "word"), ("last-bin", b"\xff\x00")):
        assert pair in trailing, trailing


def metadata(node):
    sent = (("colour", "red"), ("colour", "blue"), ("key-bin", b"\x00\x01"), ("micro-account", "root"))
    forged = ("micro-caller", "admin")
    if node.metadata:
        sent += (forged,)
    else:
        # What only nodes say comes from a node, on behalf of nobody in particular.
        same(node.refused(ECHO + "Told", b"", forged).code(), grpc.StatusCode.UNAUTHENTICATED)
    told = node.call(ECHO + "Told", b"", *sent, timeout=None)[0].split(b"\n")
    for line in (b"colour=red", b"colour=blue", b"key-bin=\x00\x01", b"time-left=none"):
        assert line in told, told
    for key in (b"authorization=", b"micro-account="):
        assert not any(line.startswith(key) for line in told), told
    caller = b"admin" if node.metadata else b"anonymous"
    same([line for line in told if line.startswith(b"micro-caller=")], [b"micro-caller=" + caller])
    told = node.call(ECHO + "Told", b"", timeout=15)[0].split(b"\n")
    left = [int(line.partition(b"=")[2]) for line in told if line.startswith(b"time-left=")]
    assert 0 < left[0] <= 15, left
    many = [("a%d" % number, "x" * 100) for number in range(70)]
    same(node.refused(ECHO + "Unary", b"", *many).code(), grpc.StatusCode.RESOURCE_EXHAUSTED)


def statuses(node):
    error = node.refused(ECHO + "Fail", b"\x08\x09\xff")
    same((error.code(), error.details()), (grpc.StatusCode.FAILED_PRECONDITION, "größer %"))
    trailing = pairs(error.trailing_metadata())
    for pair in (("grpc-status-details-bin", b"\x08\x09\xff"), ("why", "so")):
        assert pair in trailing, trailing


def cancellation(node):
    """The handler learns that nobody waits any more: by a cancel, by a deadline, by a reader that leaves."""
    sleeping = node.channel.unary_unary(ECHO + "Sleep").future(b"", metadata=node.metadata)
    threading.Timer(0.3, sleeping.cancel).start()
    try:
        sleeping.result()
    except grpc.FutureCancelledError:
        pass
    same(node.call(ECHO + "Cancelled", b"")[0], b"yes")
    same(node.refused(ECHO + "Sleep", b"", timeout=0.5).code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    same(node.call(ECHO + "Cancelled", b"")[0], b"yes")
    endless = node.channel.unary_stream(ECHO + "Forever")(b"x" * 1000, metadata=node.metadata)
    for _ in range(100):
        same(len(next(endless)), 1000)
    endless.cancel()
    same(node.call(ECHO + "Cancelled", b"")[0], b"yes")


def streams(node):
    """All four kinds, with answers before the request is over."""
    options = {"metadata": node.metadata, "timeout": PATIENCE}
    counted = list(node.channel.unary_stream(ECHO + "Count")(b"5000", **options))
    same((len(counted), counted[-1]), (5000, b"4999"))
    same(node.channel.stream_unary(ECHO + "Total")((b"x" * 10000 for _ in range(500)), **options), b"5000000")
    said = threading.Semaphore(0)
    def words():
        for number in range(100):
            yield b"%d" % number
            assert said.acquire(timeout=PATIENCE), "no answer came before the next word"
    for number, answer in enumerate(node.channel.stream_stream(ECHO + "Chat")(words(), **options)):
        same(answer, b"re: %d" % number)
        said.release()


def denied(node):
    """Who shows nothing may not, once no rule says so; and nobody may without one that is good."""
    same(node.refused("/helloworld.Greeter/Call", b"{}").code(), grpc.StatusCode.UNAUTHENTICATED)
    same(node.refused("/nobody.Greeter/Call", b"{}").code(), grpc.StatusCode.UNAUTHENTICATED)
    same(node.refused("/micro.v1.Store/Read", b"").code(), grpc.StatusCode.UNAUTHENTICATED)
    wrong = ("authorization", "Bearer wrong")
    same(node.refused("/helloworld.Greeter/Call", b"{}", wrong).code(), grpc.StatusCode.UNAUTHENTICATED)


CHECKS = (platform, reflection, health, greeter, missing, bytes_as_they_are, metadata, statuses, cancellation, streams)

if __name__ == "__main__":
    names = sys.argv[1]
    node = Node(sys.argv[2], os.environ.get("MICRO_NODE_TOKEN"))
    for check in CHECKS if names == "all" else [globals()[names]]:
        print(check.__name__, flush=True)
        check(node)

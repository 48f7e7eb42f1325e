"""A service of protobuf, acme.till.v1.Till, whose messages have a field of each kind.

    grpc_till.py serve SOCKET            offers it at a node, which is told nothing but the address
    grpc_till.py listen PORT FILE        serves it at a port, and tells by grpc.health.v1 that it does, unless FILE is there
    grpc_till.py mute PORT               serves it at a port, and tells nobody what it is
    grpc_till.py call ADDRESS [NAME]     calls it with protobuf, and prints the answer as JSON
    grpc_till.py descriptors             writes its FileDescriptorSet to stdout
"""

import os
import sys
import time
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, timestamp_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from attachment import attach

PACKAGE = "acme.till.v1"
Field = descriptor_pb2.FieldDescriptorProto


def file():
    """The descriptor that protoc would make of the service's .proto file."""
    proto = descriptor_pb2.FileDescriptorProto(name="acme/till/v1/till.proto", package=PACKAGE, syntax="proto3")
    proto.dependency.append("google/protobuf/timestamp.proto")
    proto.enum_type.add(name="Unit").value.extend(
        descriptor_pb2.EnumValueDescriptorProto(name=name, number=number) for number, name in enumerate(["PIECE", "KILO"])
    )
    asked = proto.message_type.add(name="PriceRequest")
    stock = asked.nested_type.add(name="StockEntry")
    stock.options.map_entry = True
    stock.field.add(name="key", number=1, type=Field.TYPE_STRING, label=Field.LABEL_OPTIONAL)
    stock.field.add(name="value", number=2, type=Field.TYPE_INT32, label=Field.LABEL_OPTIONAL)

    def add(message, number, name, kind, label=Field.LABEL_OPTIONAL, of=None):
        message.field.add(name=name, number=number, type=kind, label=label, type_name=of)

    add(asked, 1, "item_name", Field.TYPE_STRING)
    add(asked, 2, "count", Field.TYPE_INT64)
    add(asked, 3, "tags", Field.TYPE_STRING, Field.LABEL_REPEATED)
    add(asked, 4, "at", Field.TYPE_MESSAGE, of=".google.protobuf.Timestamp")
    add(asked, 5, "unit", Field.TYPE_ENUM, of=f".{PACKAGE}.Unit")
    add(asked, 6, "stock", Field.TYPE_MESSAGE, Field.LABEL_REPEATED, of=f".{PACKAGE}.PriceRequest.StockEntry")
    add(asked, 7, "inner", Field.TYPE_MESSAGE, of=f".{PACKAGE}.PriceRequest")
    add(asked, 8, "picture", Field.TYPE_BYTES)
    add(asked, 9, "rate", Field.TYPE_DOUBLE)
    given = proto.message_type.add(name="PriceReply")
    add(given, 1, "asked", Field.TYPE_MESSAGE, of=f".{PACKAGE}.PriceRequest")
    add(given, 2, "total", Field.TYPE_INT64)
    add(given, 3, "caller", Field.TYPE_STRING)
    till = proto.service.add(name="Till")
    for name, streams in [("Price", False), ("Fail", False), ("Prices", True)]:
        till.method.add(
            name=name,
            input_type=f".{PACKAGE}.PriceRequest",
            output_type=f".{PACKAGE}.PriceReply",
            server_streaming=streams,
        )
    return proto


POOL = descriptor_pool.Default()
POOL.AddSerializedFile(file().SerializeToString())
Request, Reply = (
    message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in ["PriceRequest", "PriceReply"]
)


def price(request, context):
    told = dict(context.invocation_metadata())
    return Reply(asked=request, total=request.count * 3, caller=told.get("micro-caller", ""))


def fail(request, context):
    if request.count == 501:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "this till can't")
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the till is shut")


def prices(request, context):
    yield price(request, context)


def offered(told=True):
    server = grpc.server(futures.ThreadPoolExecutor(8))
    handlers = {"Price": grpc.unary_unary_rpc_method_handler, "Fail": grpc.unary_unary_rpc_method_handler}
    handlers["Prices"] = grpc.unary_stream_rpc_method_handler
    functions = {"Price": price, "Fail": fail, "Prices": prices}
    made = {
        name: handler(functions[name], Request.FromString, Reply.SerializeToString) for name, handler in handlers.items()
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(f"{PACKAGE}.Till", made)])
    if told:
        reflection.enable_server_reflection([f"{PACKAGE}.Till", reflection.SERVICE_NAME], server)
    return server


def serve(socket):
    server = offered()
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    attach(socket, "till", f"127.0.0.1:{port}")


def listen(port, file):
    server, told = offered(), health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(told, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    status = health_pb2.HealthCheckResponse.ServingStatus
    while True:
        told.set("", status.NOT_SERVING if os.path.exists(file) else status.SERVING)
        time.sleep(0.05)


def mute(port):
    server = offered(told=False)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def call(address, service=None):
    channel = grpc.insecure_channel(address)
    method = channel.unary_unary(
        f"/{PACKAGE}.Till/Price", request_serializer=Request.SerializeToString, response_deserializer=Reply.FromString
    )
    request = Request(
        item_name="tea", count=2**53 + 1, tags=["a", "b"], unit=1, stock={"x": 1}, picture=b"\x00\xff", rate=0.5
    )
    request.at.FromJsonString("2026-01-02T03:04:05Z")
    request.inner.item_name = "milk"
    metadata = [("micro-service", service)] if service else []
    answer = method(request, timeout=10, metadata=metadata)
    assert answer.asked == request, answer
    streamed = channel.unary_stream(
        f"/{PACKAGE}.Till/Prices", request_serializer=Request.SerializeToString, response_deserializer=Reply.FromString
    )
    for priced in streamed(request, timeout=10, metadata=metadata):
        assert (priced.asked, priced.total) == (request, answer.total), priced
    print(json_format.MessageToJson(answer, indent=None))


if __name__ == "__main__":
    what, rest = sys.argv[1], sys.argv[2:]
    if what == "descriptors":
        timestamp = descriptor_pb2.FileDescriptorProto()
        timestamp_pb2.DESCRIPTOR.CopyToProto(timestamp)
        files = descriptor_pb2.FileDescriptorSet(file=[timestamp, file()])
        sys.stdout.buffer.write(files.SerializeToString())
    else:
        {"serve": serve, "listen": listen, "mute": mute, "call": call}[what](*rest)

"""A gRPC server that knows nothing of micro-node but how to attach: `echo_server.py SOCKET`.

It offers acme.echo.v1.Echo, whose messages are bytes of any kind, and prints "attached" once the node has taken it.
"""

import sys
import threading
import time
from concurrent import futures

import grpc
from grpc_reflection.v1alpha import reflection

from attachment import attach

NAME = "acme.echo.v1.Echo"
cancelled = threading.Semaphore(0)


def told(context):
    """What came along with a call, a line each."""
    pairs = sorted((key, value if isinstance(value, bytes) else value.encode()) for key, value in context.invocation_metadata())
    left = context.time_remaining()
    pairs.append(("time-left", b"none" if left is None or left > 1e6 else b"%d" % left))
    return b"\n".join(key.encode() + b"=" + value for key, value in pairs)


def unary(request, context):
    context.send_initial_metadata((("first", "word"), ("first-bin", b"\x00\xff")))
    context.set_trailing_metadata((("last", "word"), ("last-bin", b"\xff\x00")))
    return request


def fail(request, context):
    context.set_trailing_metadata((("grpc-status-details-bin", request), ("why", "so")))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "größer %")


def sleep(request, context):
    context.add_callback(cancelled.release)
    while context.is_active():
        time.sleep(0.02)
    return b""


def count(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def forever(request, context):
    context.add_callback(cancelled.release)
    while True:
        yield request


def total(requests, context):
    return b"%d" % sum(len(request) for request in requests)


def chat(requests, context):
    for request in requests:
        yield b"re: " + request


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Told": grpc.unary_unary_rpc_method_handler(lambda request, context: told(context)),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
    "Cancelled": grpc.unary_unary_rpc_method_handler(
        lambda request, context: b"yes" if cancelled.acquire(timeout=10) else b"no"
    ),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Forever": grpc.unary_stream_rpc_method_handler(forever),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}


if __name__ == "__main__":
    server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(NAME, HANDLERS)])
    reflection.enable_server_reflection([NAME, reflection.SERVICE_NAME], server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # With its methods named, it is not asked for more: its messages are bytes of any kind.
    names = [f"{NAME}.{method}" for method in HANDLERS] + [f"{reflection.SERVICE_NAME}.ServerReflectionInfo"]
    attach(sys.argv[1], "py-echo", f"127.0.0.1:{port}", names)

"""How a program in Python becomes a service, with nothing but grpcio: the messages are those that the node describes."""

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def attach(socket, name, address, endpoints=(), version="1"):
    """Attaches the server at `address` for as long as the process runs, and says when it is."""
    # Of the socket's path it would make an authority that is none (RFC 3986, 3.2).
    channel = grpc.insecure_channel("unix:" + socket, options=[("grpc.default_authority", "localhost")])
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    message = lambda kind: message_factory.GetMessageClass(pool.FindMessageTypeByName("micro.v1." + kind))
    call = channel.unary_stream(
        "/micro.v1.Registry/Attach",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=message("AttachEvent").FromString,
    )
    offered = [message("Endpoint")(name=one, request_schema="true", response_schema="true") for one in endpoints]
    for event in call(message("AttachRequest")(name=name, version=version, address=address, endpoints=offered)):
        if event.WhichOneof("event") == "attached":
            print("attached", flush=True)

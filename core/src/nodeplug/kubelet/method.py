"""Methods of gRPC services, called without the code that is generated for them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import grpc

if TYPE_CHECKING:
    from google.protobuf.message import Message

_Question = TypeVar("_Question", bound="Message")
_Answer = TypeVar("_Answer")


def method(
    channel: grpc.aio.Channel,
    path: str,
    question: type[_Question],
    read: Callable[[bytes], _Answer],
) -> "grpc.aio.UnaryUnaryMultiCallable[_Question, _Answer]":
    """Return the method "/package.Service/Method", whose answers `read` reads.

    The generated stubs would take memory that an agent has no use for.
    """
    return channel.unary_unary(
        path, request_serializer=question.SerializeToString, response_deserializer=read
    )

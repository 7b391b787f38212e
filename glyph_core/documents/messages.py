"""Messages between this process and the workers that parse: a pickle, and the memory of its arrays beside it."""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

_COUNT, _SIZE = struct.Struct("<I"), struct.Struct("<Q")


def send(to: socket.socket, message: Any) -> None:
    """Write ``message``; arrays in it are not copied (pickle protocol 5, out of band)."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    to.sendall(_COUNT.pack(len(parts)) + b"".join(_SIZE.pack(part.nbytes) for part in parts))
    for part in parts:
        to.sendall(part)


def receive(of: socket.socket) -> Any:
    """The next message. Raises EOFError where the other end is gone, and TimeoutError as the socket is set."""
    (count,) = _COUNT.unpack(_read(of, _COUNT.size))
    sizes = [_SIZE.unpack(_read(of, _SIZE.size))[0] for _ in range(count)]
    head, *buffers = [_read(of, size) for size in sizes]
    return pickle.loads(head, buffers=buffers)


def _read(of: socket.socket, num_bytes: int) -> bytearray:
    content = bytearray(num_bytes)
    missing = memoryview(content)
    while missing:
        num_read = of.recv_into(missing)
        if not num_read:
            raise EOFError
        missing = missing[num_read:]
    return content

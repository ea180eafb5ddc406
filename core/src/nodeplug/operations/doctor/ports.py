"""The port for metrics and probes."""

import asyncio

from nodeplug.backend import Finding
from nodeplug.operations.doctor.patient import Patient, problem
from nodeplug.operations.observatory import port_of

_SECONDS = 3.0
_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_REPLY_LIMIT = 4096
# What an agent says to such a request; asking for metrics would make it measure.
_OURS = b"there are /metrics, /healthz, /readyz"


async def metrics_port(patient: Patient) -> list[Finding]:
    """Look whether somebody else has the port; an agent of ours is known by its pages."""
    settings = patient.agent.metrics
    if not settings.enabled or not patient.specs:
        return []
    port = port_of(settings, list(patient.specs.values()))
    if await _is_free_or_ours(settings.address or "localhost", port):
        return []
    rule = "metrics and the kubelet's probes are served there"
    return [problem(f"TCP port {port}", "is in use by another program", "set metrics.port", rule)]


async def _is_free_or_ours(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(_REQUEST)
                return await _said(reader, _OURS)
            finally:
                writer.close()
    except TimeoutError:
        return False  # it accepts, and says nothing
    except ConnectionResetError:
        return False
    except OSError:
        return True


async def _said(reader: asyncio.StreamReader, wanted: bytes) -> bool:
    reply = b""
    while len(reply) < _REPLY_LIMIT and (part := await reader.read(_REPLY_LIMIT)):
        reply += part
    return wanted in reply

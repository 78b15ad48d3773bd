# A QUIC peer of the ordinary kind: it has an X.509 certificate, or none, and never heard of raw public keys.
#
#   peer.py serve CERT KEY             prints its port, then a line for each connection that got through
#   peer.py dial PORT [CERT KEY]       prints how it went
#
# Lines are JSON.

import asyncio
import json
import ssl
import sys

from aioquic.asyncio import connect, serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted


def say(**line):
    print(json.dumps(line), flush=True)


class Watched(QuicConnectionProtocol):
    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            say(event="connected")
        elif isinstance(event, ConnectionTerminated):
            say(event="closed", code=event.error_code, reason=event.reason_phrase)


def configuration(is_client, files):
    made = QuicConfiguration(
        alpn_protocols=["test/1"], is_client=is_client, idle_timeout=10, verify_mode=ssl.CERT_NONE
    )
    if files:
        made.load_cert_chain(*files)
    return made


async def main(mode, *rest):
    if mode == "serve":
        server = await serve("127.0.0.1", 0, configuration=configuration(False, rest), create_protocol=Watched)
        say(port=server._transport.get_extra_info("sockname")[1])
        await asyncio.Event().wait()
    else:
        port, *files = rest
        try:
            async with connect(
                "127.0.0.1", int(port), configuration=configuration(True, files), create_protocol=Watched
            ) as client:
                await client.ping()
                say(event="served")
        except ConnectionError:
            say(event="failed")


asyncio.run(main(*sys.argv[1:]))

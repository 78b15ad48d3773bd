# A QUIC peer of the ordinary kind: it has an X.509 certificate, or none, and never heard of raw public keys.
#
#   peer.py serve                 prints its port, then a line for each connection that got through
#   peer.py dial PORT [bare]      prints how it went; bare: without a certificate
#
# Lines are JSON.

import asyncio
import datetime
import json
import ssl
import sys

from aioquic.asyncio import connect, serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID


def say(**line):
    print(json.dumps(line), flush=True)


class Watched(QuicConnectionProtocol):
    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            say(event="connected")
        elif isinstance(event, ConnectionTerminated):
            say(event="closed", code=event.error_code, reason=event.reason_phrase)


def self_signed():
    # The kind of signature that our peers take, so that only the certificate stands between.
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .sign(key, None)
    )
    return certificate, key


def configuration(is_client, with_certificate):
    made = QuicConfiguration(
        alpn_protocols=["test/1"], is_client=is_client, idle_timeout=10, verify_mode=ssl.CERT_NONE
    )
    if with_certificate:
        made.certificate, made.private_key = self_signed()
    return made


async def main(mode, *rest):
    if mode == "serve":
        server = await serve("127.0.0.1", 0, configuration=configuration(False, True), create_protocol=Watched)
        say(port=server._transport.get_extra_info("sockname")[1])
        await asyncio.Event().wait()
    else:
        port, *bare = rest
        try:
            async with connect(
                "127.0.0.1", int(port), configuration=configuration(True, not bare), create_protocol=Watched
            ) as client:
                await client.ping()
                say(event="served")
        except ConnectionError:
            say(event="failed")


asyncio.run(main(*sys.argv[1:]))

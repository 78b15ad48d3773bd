# aioquic as an HTTP/3 client or server that does as it is told on stdin, and says on stdout what happens to it. Both are
# lines of JSON. test/interop/http3/README.md has the commands.
#
#   peer.py client PORT CA
#   peer.py server CERT KEY

import asyncio
import base64
import hashlib
import json
import sys
from collections import defaultdict

from aioquic.asyncio import connect, serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.buffer import Buffer, BufferReadError, encode_uint_var
from aioquic.h3.connection import FrameType, H3Connection, encode_frame
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StopSendingReceived, StreamDataReceived, StreamReset

REQUEST_REJECTED = 0x10B
REQUEST_CANCELLED = 0x10C


def say(event, **line):
    print(json.dumps({"event": event, **line}), flush=True)


class Message:
    """What came on a request stream so far."""

    def __init__(self):
        self.headers = None
        self.trailers = {}
        self.body = bytearray()
        self.arrived = asyncio.Event()
        self.ended = asyncio.get_running_loop().create_future()

    def hear(self, event):
        if isinstance(event, HeadersReceived):
            fields = {name.decode(): value.decode() for name, value in event.headers}
            if self.headers is None:
                self.headers = fields
            else:
                self.trailers = fields
        else:
            self.body += event.data
        if self.body:
            self.arrived.set()
        if event.stream_ended and not self.ended.done():
            self.ended.set_result(None)


class Peer(QuicConnectionProtocol):
    """HTTP/3 on a connection; what only the two roles know is in the classes below."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.h3 = H3Connection(self._quic)
        self.messages = defaultdict(Message)
        self.unidirectional = defaultdict(bytearray)
        self.inserts = 0

    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived) and event.stream_id & 2:
            self.unidirectional[event.stream_id] += event.data
            self.hear_control(event.stream_id)
        elif isinstance(event, (StreamReset, StopSendingReceived)):
            self.given_up(event.stream_id, event.error_code)
        elif isinstance(event, ConnectionTerminated):
            self.over(event)
        heard_events = self.h3.handle_event(event)
        self.acknowledge_inserts()
        for heard in heard_events:
            if isinstance(heard, (HeadersReceived, DataReceived)):
                new = heard.stream_id not in self.messages
                self.messages[heard.stream_id].hear(heard)
                if new:
                    self.began(heard.stream_id)

    def hear_control(self, stream_id):
        """aioquic does not say that a GOAWAY came."""
        stream = Buffer(data=bytes(self.unidirectional[stream_id]))
        try:
            if stream.pull_uint_var() != 0x00:
                return
            while True:
                frame_type = stream.pull_uint_var()
                payload = Buffer(data=stream.pull_bytes(stream.pull_uint_var()))
                if frame_type == FrameType.GOAWAY:
                    self.goaway(payload.pull_uint_var())
        except BufferReadError:
            pass

    def acknowledge_inserts(self):
        """
        aioquic acknowledges sections, and never inserts (RFC 9204 section 4.4.3). An encoder that makes no stream wait for
        another refers to nothing then.
        """
        inserts = sum(count_inserts(data[1:]) for data in self.unidirectional.values() if data[:1] == b"\x02")
        if inserts > self.inserts:
            # One byte has room for an increment of 62.
            self._quic.send_stream_data(self.h3._local_decoder_stream_id, bytes([inserts - self.inserts]))
            self.inserts = inserts

    def encoder_stream_bytes(self):
        return sum(len(data) for data in self.unidirectional.values() if data[:1] == b"\x02")

    def send(self, stream_id, headers, body=b"", trailers=None, end=True):
        self.h3.send_headers(stream_id, encoded(headers), end_stream=end and not body and trailers is None)
        if body:
            self.h3.send_data(stream_id, bytes(body), end_stream=end and trailers is None)
        if trailers is not None:
            self.h3.send_headers(stream_id, encoded(trailers), end_stream=True)
        self.transmit()

    def give_up(self, stream_id, code):
        self._quic.stop_stream(stream_id, code)
        self._quic.reset_stream(stream_id, code)
        self.transmit()

    def began(self, stream_id):
        pass

    def given_up(self, stream_id, code):
        pass

    def goaway(self, stream_id):
        pass

    def over(self, event):
        pass


class Client(Peer):
    announced = None

    def given_up(self, stream_id, code):
        message = self.messages[stream_id]
        if not message.ended.done():
            message.ended.set_result(code)

    def goaway(self, stream_id):
        if self.announced != stream_id:
            self.announced = stream_id
            say("goaway", id=stream_id)

    def over(self, event):
        say("closed", code=event.error_code, reason=event.reason_phrase)

    async def call(self, port, command):
        stream_id = self._quic.get_next_available_stream_id()
        message = self.messages[stream_id] = Message()
        body = command["body"].replace("FILL", "0123456789abcdef" * (command["fill"] // 16)).encode("latin-1")
        headers = {
            ":method": command["method"],
            ":scheme": "https",
            ":authority": f"127.0.0.1:{port}",
            ":path": command["path"],
            **command["headers"],
        }
        self.send(stream_id, headers, body)
        if command["cancel"]:
            await message.arrived.wait()
            self.give_up(stream_id, REQUEST_CANCELLED)
            say("cancelled")
            return
        code = await message.ended
        if code is not None:
            say("failed", code=code)
            return
        said = {name: value for name, value in message.headers.items() if not name.startswith(":")}
        say(
            "response",
            status=int(message.headers[":status"]),
            headers=said,
            trailers=message.trailers,
            length=len(message.body),
            sha256=hashlib.sha256(message.body).hexdigest(),
            body=base64.b64encode(message.body).decode() if len(message.body) < 10_000 else None,
            encoderStreamBytes=self.encoder_stream_bytes(),
        )


class Server(Peer):
    connections = []
    released = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        Server.connections.append(self)
        self.number = len(Server.connections)
        self.limit = None
        self.answers = set()

    def began(self, stream_id):
        if self.limit is not None and stream_id >= self.limit:
            self.give_up(stream_id, REQUEST_REJECTED)
            return
        answer = asyncio.ensure_future(self.answer(stream_id))
        self.answers.add(answer)
        answer.add_done_callback(self.answers.discard)

    def given_up(self, stream_id, code):
        say("given up", code=code)

    def send_goaway(self):
        self.limit = max(self.messages, default=-4) + 4
        self._quic.send_stream_data(
            self.h3._local_control_stream_id, encode_frame(FrameType.GOAWAY, encode_uint_var(self.limit))
        )
        self.transmit()

    async def answer(self, stream_id):
        message = self.messages[stream_id]
        method = message.headers[":method"]
        # A GET has its message in the query, and gets an empty one.
        content_type = "application/proto" if method == "GET" else message.headers["content-type"]
        headers = {":status": "200", "content-type": content_type, "x-connection": str(self.number)}
        if message.headers.get("x-note") == "forever":
            # One message in an envelope, and no end.
            self.send(stream_id, headers, b"\0\0\0\0\0", end=False)
            return
        await message.ended
        if message.headers.get("x-note") == "hold":
            say("held", connection=self.number)
            await Server.released.wait()
        trailers = None
        if content_type.startswith("application/grpc"):
            trailers = {"grpc-status": "0", "x-counted": str(len(message.body))}
        # Requests and responses of the echo service are alike.
        self.send(stream_id, headers, message.body, trailers)
        say(
            "answered",
            connection=self.number,
            method=method,
            length=len(message.body),
            encoderStreamBytes=self.encoder_stream_bytes(),
        )


def count_inserts(stream):
    """Of the instructions of an encoder stream that are complete (RFC 9204 section 4.3)."""
    at = 0

    def integer(prefix_bits):
        nonlocal at
        limit = (1 << prefix_bits) - 1
        value = stream[at] & limit
        at += 1
        shift = 0
        while value >= limit:
            value += (stream[at] & 0x7F) << shift
            shift += 7
            at += 1
            if stream[at - 1] < 0x80:
                break
        return value

    def skip_string(prefix_bits):
        nonlocal at
        length = integer(prefix_bits)
        at += length
        if at > len(stream):
            raise IndexError

    inserts = 0
    try:
        while at < len(stream):
            first = stream[at]
            if first & 0x80:
                integer(6)
                skip_string(7)
            elif first & 0x40:
                skip_string(5)
                skip_string(7)
            else:
                integer(5)
            inserts += first & 0xE0 != 0x20
    except IndexError:
        pass
    return inserts


def encoded(fields):
    return [(name.encode(), value.encode()) for name, value in fields.items()]


async def commands():
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield json.loads(line)


async def client(port, ca):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"])
    configuration.load_verify_locations(ca)
    async with connect("127.0.0.1", int(port), configuration=configuration, create_protocol=Client) as peer:
        say("connected")
        calls = []
        async for command in commands():
            calls.append(asyncio.ensure_future(peer.call(port, command)))


async def server(cert, key):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
    configuration.load_cert_chain(cert, key)
    Server.released = asyncio.Event()
    listening = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Server)
    say("listening", port=listening._transport.get_extra_info("sockname")[1])
    async for command in commands():
        if command == "goaway":
            for connection in list(Server.connections):
                connection.send_goaway()
            say("going away")
        elif command == "release":
            Server.released.set()


asyncio.run({"client": client, "server": server}[sys.argv[1]](*sys.argv[2:]))

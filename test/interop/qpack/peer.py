"""QPACK of ls-qpack, by way of pylsqpack, for a test that talks to it over stdin and stdout.

A request is a line of JSON, and so is its answer. Bytes are text with one char per byte.
"""

import json
import sys

import pylsqpack


class Peer:
    """A decoder for what the test's encoder writes, and an encoder for its decoder."""

    def __init__(self):
        self.decoder = None
        self.encoder = None

    def reset(self, maxTableCapacity, blockedStreams):
        """Starts afresh; returns what the encoder says first."""
        self.decoder = pylsqpack.Decoder(maxTableCapacity, blockedStreams)
        self.encoder = pylsqpack.Encoder()
        return {"instructions": text(self.encoder.apply_settings(maxTableCapacity, blockedStreams))}

    def decode(self, streamId, section):
        try:
            answer, fields = self.decoder.feed_header(streamId, raw(section))
        except pylsqpack.StreamBlocked:
            return {"type": "blocked"}
        return {"type": "fields", **decoded(answer, fields)}

    def instruct(self, instructions):
        unblocked = self.decoder.feed_encoder(raw(instructions))
        sections = [(streamId, self.decoder.resume_header(streamId)) for streamId in unblocked]
        return {
            "unblocked": [
                {"streamId": streamId, **decoded(answer, fields)}
                for streamId, (answer, fields) in sections
            ]
        }

    def cancel(self, streamId):
        return {"answer": text(self.decoder.cancel_stream(streamId))}

    def encode(self, streamId, fields):
        pairs = [(raw(name), raw(value)) for name, value in fields]
        instructions, section = self.encoder.encode(streamId, pairs)
        return {"instructions": text(instructions), "section": text(section)}

    def acknowledge(self, answer):
        self.encoder.feed_decoder(raw(answer))
        return {}


def decoded(answer, fields):
    return {
        "answer": text(answer),
        "fields": [[text(name), text(value)] for name, value in fields],
    }


def raw(value):
    return value.encode("latin-1")


def text(value):
    return value.decode("latin-1")


def main():
    peer = Peer()
    for line in sys.stdin:
        operation, arguments = json.loads(line)
        try:
            answer = getattr(peer, operation)(*arguments)
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


main()

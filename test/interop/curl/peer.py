# libcurl with ngtcp2 and nghttp3, as curl_cffi brings it, as an HTTP/3 client that does as it is told on stdin, and says on
# stdout what happens to it. Both are lines of JSON. test/interop/http3/README.md has the commands.
#
#   peer.py client PORT CA

import base64
import hashlib
import json
import sys

import curl_cffi
from curl_cffi import Curl, CurlHttpVersion, CurlInfo, CurlOpt
from curl_cffi.curl import CURL_WRITEFUNC_ERROR


def say(event, **line):
    print(json.dumps({"event": event, **line}), flush=True)


def fields(raw):
    lines = (line.split(":", 1) for line in raw.decode("latin-1").split("\r\n") if ":" in line)
    return {name.lower(): value.strip() for name, value in lines}


def call(curl, port, ca, command):
    filled = command["body"].replace("FILL", "0123456789abcdef" * (command["fill"] // 16)).encode("latin-1")
    body = bytearray()
    # What comes after content began are trailers.
    heads = bytearray(), bytearray()
    # Of libcurl's ways to forget the last request, this one keeps the connection.
    curl.reset()
    curl.setopt(CurlOpt.URL, f"https://127.0.0.1:{port}{command['path']}".encode())
    curl.setopt(CurlOpt.HTTP_VERSION, CurlHttpVersion.V3ONLY)
    curl.setopt(CurlOpt.CAINFO, ca.encode())
    curl.setopt(CurlOpt.HTTPHEADER, [f"{name}: {value}".encode() for name, value in command["headers"].items()])
    if command["method"] == "POST":
        curl.setopt(CurlOpt.POST, 1)
        curl.setopt(CurlOpt.POSTFIELDSIZE, len(filled))
        curl.setopt(CurlOpt.COPYPOSTFIELDS, filled)
    curl.setopt(CurlOpt.HEADERFUNCTION, lambda line: heads[1 if body else 0].extend(line))

    def receive(data):
        body.extend(data)
        return CURL_WRITEFUNC_ERROR if command["cancel"] else len(data)

    curl.setopt(CurlOpt.WRITEFUNCTION, receive)
    try:
        curl.perform()
    except curl_cffi.CurlError as error:
        if command["cancel"] and body:
            say("cancelled")
        else:
            say("failed", message=str(error))
        return
    say(
        "response",
        status=curl.getinfo(CurlInfo.RESPONSE_CODE),
        headers=fields(bytes(heads[0])),
        trailers=fields(bytes(heads[1])),
        length=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        body=base64.b64encode(body).decode() if len(body) < 10_000 else None,
    )


def main(role, port, ca):
    assert role == "client"
    curl = Curl()
    say("connected")
    for line in sys.stdin:
        call(curl, port, ca, json.loads(line))


main(*sys.argv[1:])

// What a peer may do wrong in HTTP/3, as bytes. The cases of h3spec are among them.

import { H3 } from "../../src/http3/h3-error.ts";
import type { Field } from "../../src/http3/qpack/field.ts";
import { Qpack } from "../../src/http3/qpack/qpack-error.ts";
import { concat, frame, get, headers, hex, ok, post, section, text, varint } from "./http3-peer.ts";

/** Something that the peer does, on a stream that is opened when it is first named. */
export interface Act {
  readonly on: "control" | "uni" | "uni2" | "bidi";
  readonly bytes: Uint8Array;
  readonly close?: "fin" | "reset";
}

export interface Fault {
  readonly name: string;
  /** Role of the core under test. On "client" a GET was sent, and `bidi` is its response. */
  readonly role: "server" | "client";
  readonly acts: readonly Act[];
  readonly scope: "connection" | "stream";
  readonly code: bigint;
}

const settings = frame(0x04);
const onControl = (...frames: Uint8Array[]): Act => ({
  on: "control",
  bytes: concat([hex("00"), settings, ...frames]),
});
const onBidi = (...frames: Uint8Array[]): Act => ({ on: "bidi", bytes: concat(frames) });
const ended = (act: Act): Act => ({ ...act, close: "fin" });
const uni = (type: number, bytes: Uint8Array = hex("")): Act => ({
  on: "uni",
  bytes: concat([varint(type), bytes]),
});

const atServer = (name: string, code: bigint, ...acts: readonly Act[]): Fault => ({
  name,
  role: "server",
  acts,
  scope: "connection",
  code,
});
const atClient = (name: string, code: bigint, ...acts: readonly Act[]): Fault => ({
  name,
  role: "client",
  acts,
  scope: "connection",
  code,
});
const onStream = (fault: Fault): Fault => ({ ...fault, scope: "stream" });
const badRequest = (name: string, ...fields: readonly Field[]): Fault =>
  onStream(atServer(`a request with ${name}`, H3.MESSAGE_ERROR, onBidi(headers(fields))));
const badResponse = (name: string, ...fields: readonly Field[]): Fault =>
  onStream(atClient(`a response with ${name}`, H3.MESSAGE_ERROR, onBidi(headers(fields))));

const data = (length: number): Uint8Array => frame(0x00, new Uint8Array(length));
const without = (name: string): Field[] => get.filter((field) => field[0] !== name);

/** Each with its error and the section that asks for it. */
export const faults: readonly Fault[] = [
  // Streams.
  atServer("a second control stream (RFC 9114 §6.2.1)", H3.STREAM_CREATION_ERROR, onControl(), {
    on: "uni",
    bytes: concat([hex("00"), settings]),
  }),
  ...[0x02, 0x03].map((type) =>
    atServer(
      `a second QPACK stream of type ${type} (RFC 9204 §4.2)`,
      H3.STREAM_CREATION_ERROR,
      uni(type),
      { on: "uni2", bytes: varint(type) },
    ),
  ),
  ...(["fin", "reset"] as const).flatMap((close) => [
    atServer(`the control stream ends by ${close} (RFC 9114 §6.2.1)`, H3.CLOSED_CRITICAL_STREAM, {
      ...onControl(),
      close,
    }),
    atServer(`the encoder stream ends by ${close} (RFC 9204 §4.2)`, H3.CLOSED_CRITICAL_STREAM, {
      ...uni(0x02),
      close,
    }),
    atServer(`the decoder stream ends by ${close} (RFC 9204 §4.2)`, H3.CLOSED_CRITICAL_STREAM, {
      ...uni(0x03),
      close,
    }),
  ]),
  atServer("a push stream from a client (RFC 9114 §6.2.2)", H3.STREAM_CREATION_ERROR, uni(0x01)),
  atClient("a push stream without MAX_PUSH_ID (RFC 9114 §4.6)", H3.ID_ERROR, uni(0x01, hex("00"))),

  // Frames on the control stream.
  atServer("a control stream that begins with MAX_PUSH_ID (RFC 9114 §6.2.1)", H3.MISSING_SETTINGS, {
    on: "control",
    bytes: hex("00 0d 01 01"),
  }),
  atServer(
    "a control stream that begins with a reserved frame (RFC 9114 §9)",
    H3.MISSING_SETTINGS,
    {
      on: "control",
      bytes: hex("00 21 00"),
    },
  ),
  atServer("a second SETTINGS frame (RFC 9114 §7.2.4)", H3.FRAME_UNEXPECTED, onControl(settings)),
  atServer("DATA on the control stream (RFC 9114 §7.2.1)", H3.FRAME_UNEXPECTED, onControl(data(0))),
  atServer(
    "HEADERS on the control stream (RFC 9114 §7.2.2)",
    H3.FRAME_UNEXPECTED,
    onControl(frame(0x01)),
  ),
  atClient(
    "PUSH_PROMISE on the control stream (RFC 9114 §7.2.5)",
    H3.FRAME_UNEXPECTED,
    onControl(frame(0x05, hex("00"))),
  ),
  ...[0x02, 0x06, 0x08, 0x09].flatMap((type) => [
    atServer(
      `HTTP/2 frame ${type} on the control stream (RFC 9114 §7.2.8, §11.2.1)`,
      H3.FRAME_UNEXPECTED,
      onControl(frame(type)),
    ),
    atServer(
      `HTTP/2 frame ${type} on a request stream (RFC 9114 §7.2.8)`,
      H3.FRAME_UNEXPECTED,
      onBidi(frame(type)),
    ),
  ]),
  atClient(
    "MAX_PUSH_ID from a server (RFC 9114 §7.2.7)",
    H3.FRAME_UNEXPECTED,
    onControl(frame(0x0d, hex("00"))),
  ),
  atServer(
    "a MAX_PUSH_ID below the last one (RFC 9114 §7.2.7)",
    H3.ID_ERROR,
    onControl(frame(0x0d, hex("05")), frame(0x0d, hex("04"))),
  ),
  atServer(
    "CANCEL_PUSH for a push never promised (RFC 9114 §7.2.3)",
    H3.ID_ERROR,
    onControl(frame(0x03, hex("00"))),
  ),
  atClient(
    "CANCEL_PUSH above what was allowed (RFC 9114 §7.2.3)",
    H3.ID_ERROR,
    onControl(frame(0x03, hex("00"))),
  ),
  ...[1, 2, 3, 5].map((id) =>
    atClient(
      `GOAWAY with ${id}, no request stream of a client (RFC 9114 §7.2.6)`,
      H3.ID_ERROR,
      onControl(frame(0x07, varint(id))),
    ),
  ),
  atClient(
    "GOAWAY above 2^53 that is no request stream (RFC 9114 §7.2.6)",
    H3.ID_ERROR,
    onControl(frame(0x07, varint((1n << 62n) - 1n))),
  ),
  atClient(
    "GOAWAY with a larger id than before (RFC 9114 §5.2)",
    H3.ID_ERROR,
    onControl(frame(0x07, hex("04")), frame(0x07, hex("08"))),
  ),
  atServer(
    "GOAWAY with a larger push id than before (RFC 9114 §5.2)",
    H3.ID_ERROR,
    onControl(frame(0x07, hex("04")), frame(0x07, hex("05"))),
  ),

  // Frame layout.
  ...[0x03, 0x07, 0x0d].flatMap((type) => [
    atServer(
      `frame ${type} without its id (RFC 9114 §7.1)`,
      H3.FRAME_ERROR,
      onControl(frame(type)),
    ),
    atServer(
      `frame ${type} with half an id (RFC 9114 §7.1)`,
      H3.FRAME_ERROR,
      onControl(frame(type, hex("40"))),
    ),
    atServer(
      `frame ${type} with a byte too many (RFC 9114 §7.1)`,
      H3.FRAME_ERROR,
      onControl(frame(type, hex("00 00"))),
    ),
    atServer(
      `frame ${type} that says to be long (RFC 9114 §7.1)`,
      H3.FRAME_ERROR,
      onControl(concat([varint(type), varint((1n << 62n) - 1n)])),
    ),
  ]),
  atServer("a setting without its value (RFC 9114 §7.1)", H3.FRAME_ERROR, {
    on: "control",
    bytes: concat([hex("00"), frame(0x04, hex("06"))]),
  }),
  atServer("a setting with half a value (RFC 9114 §7.1)", H3.FRAME_ERROR, {
    on: "control",
    bytes: concat([hex("00"), frame(0x04, hex("06 40"))]),
  }),
  atServer(
    "a request that ends inside of a frame header (RFC 9114 §7.1)",
    H3.FRAME_ERROR,
    ended(onBidi(headers(get), hex("00"))),
  ),
  atServer(
    "a request that ends inside of a frame type (RFC 9114 §7.1)",
    H3.FRAME_ERROR,
    ended(onBidi(headers(get), hex("40"))),
  ),
  atServer(
    "a request that ends inside of a DATA frame (RFC 9114 §7.1)",
    H3.FRAME_ERROR,
    ended(onBidi(headers(post), hex("00 05 01"))),
  ),
  atServer(
    "a request that ends inside of a HEADERS frame (RFC 9114 §7.1)",
    H3.FRAME_ERROR,
    ended(onBidi(hex("01 05 00 00"))),
  ),
  atServer(
    "a request that ends inside of an unknown frame (RFC 9114 §7.1)",
    H3.FRAME_ERROR,
    ended(onBidi(hex("21 05 00 00"))),
  ),

  // Settings.
  ...[0x00, 0x02, 0x03, 0x04, 0x05].map((id) =>
    atServer(`HTTP/2 setting ${id} (RFC 9114 §7.2.4.1, §11.2.2)`, H3.SETTINGS_ERROR, {
      on: "control",
      bytes: concat([hex("00"), frame(0x04, varint(id), hex("01"))]),
    }),
  ),
  atServer(
    "HTTP/2 settings among others, as h3spec sends them (RFC 9114 §7.2.4.1)",
    H3.SETTINGS_ERROR,
    {
      on: "control",
      bytes: concat([hex("00"), frame(0x04, hex("07 4064 02 40c8 01 5000 06 80008000"))]),
    },
  ),
  atServer("a setting that occurs twice (RFC 9114 §7.2.4)", H3.SETTINGS_ERROR, {
    on: "control",
    bytes: concat([hex("00"), frame(0x04, hex("07 4064 01 5000 06 80008000 07 4064"))]),
  }),
  atServer("a reserved setting that occurs twice (RFC 9114 §7.2.4)", H3.SETTINGS_ERROR, {
    on: "control",
    bytes: concat([hex("00"), frame(0x04, hex("21 00 21 01"))]),
  }),
  atServer("a SETTINGS frame of a megabyte (RFC 9114 §10.5)", H3.EXCESSIVE_LOAD, {
    on: "control",
    bytes: concat([hex("00 04"), varint(1 << 20)]),
  }),

  // Frames on request streams.
  atServer("DATA before HEADERS (RFC 9114 §4.1)", H3.FRAME_UNEXPECTED, onBidi(data(0))),
  atServer(
    "DATA after the trailers (RFC 9114 §4.1)",
    H3.FRAME_UNEXPECTED,
    onBidi(headers(post), headers([["a", "b"]]), data(1)),
  ),
  atServer(
    "HEADERS after the trailers (RFC 9114 §4.1)",
    H3.FRAME_UNEXPECTED,
    onBidi(headers(post), data(1), headers([["a", "b"]]), headers([["a", "b"]])),
  ),
  atServer(
    "HEADERS after a CONNECT (RFC 9114 §4.4)",
    H3.FRAME_UNEXPECTED,
    onBidi(
      headers([
        [":method", "CONNECT"],
        [":authority", "a:1"],
      ]),
      headers([["a", "b"]]),
    ),
  ),
  ...[
    ["CANCEL_PUSH", 0x03],
    ["SETTINGS", 0x04],
    ["GOAWAY", 0x07],
    ["MAX_PUSH_ID", 0x0d],
  ].flatMap(([name, type]) => [
    atServer(
      `${name} on a request stream (RFC 9114 §7)`,
      H3.FRAME_UNEXPECTED,
      onBidi(frame(Number(type), hex("00"))),
    ),
    atClient(
      `${name} on the stream of a response (RFC 9114 §7)`,
      H3.FRAME_UNEXPECTED,
      onBidi(headers(ok), frame(Number(type), hex("00"))),
    ),
  ]),
  atServer(
    "PUSH_PROMISE from a client (RFC 9114 §7.2.5)",
    H3.FRAME_UNEXPECTED,
    onBidi(headers(get), frame(0x05, hex("00"), section(get))),
  ),
  atClient(
    "PUSH_PROMISE without MAX_PUSH_ID (RFC 9114 §7.2.5)",
    H3.ID_ERROR,
    onBidi(frame(0x05, hex("00"), section(get))),
  ),
  atClient("DATA before the response (RFC 9114 §4.1)", H3.FRAME_UNEXPECTED, onBidi(data(3))),
  atClient(
    "DATA after an interim response (RFC 9114 §4.1)",
    H3.FRAME_UNEXPECTED,
    onBidi(headers([[":status", "103"]]), data(3)),
  ),

  // QPACK.
  atServer(
    "static index 99, as h3spec sends it (RFC 9204 §3.1)",
    Qpack.DECOMPRESSION_FAILED,
    onBidi(frame(0x01, hex("0000 d1 d7 50 09 3132372e302e302e31 c1 ff24"))),
  ),
  atServer(
    "a field section that is cut (RFC 9204 §2.2)",
    Qpack.DECOMPRESSION_FAILED,
    onBidi(frame(0x01, hex("0000 d1 5005"))),
  ),
  atServer(
    "an empty HEADERS frame (RFC 9204 §4.5)",
    Qpack.DECOMPRESSION_FAILED,
    onBidi(frame(0x01)),
  ),
  atServer(
    "a table capacity above the limit, as h3spec sends it (RFC 9204 §4.1.3)",
    Qpack.ENCODER_STREAM_ERROR,
    uni(0x02, hex("3fe1c7afa025")),
  ),
  atServer(
    "an insert count increment of 0 (RFC 9204 §4.4.3)",
    Qpack.DECODER_STREAM_ERROR,
    uni(0x03, hex("00")),
  ),
  atServer(
    "an acknowledgment of a section never sent (RFC 9204 §4.4.1)",
    Qpack.DECODER_STREAM_ERROR,
    uni(0x03, hex("80")),
  ),

  // Messages (RFC 9114 §4.1.2).
  onStream(
    atServer(
      "a request stream without a request (RFC 9114 §4.1)",
      H3.REQUEST_INCOMPLETE,
      ended(onBidi()),
    ),
  ),
  onStream(
    atServer(
      "a request of unknown frames alone (RFC 9114 §4.1)",
      H3.REQUEST_INCOMPLETE,
      ended(onBidi(frame(0x21, hex("00")))),
    ),
  ),
  badRequest("no :method (RFC 9114 §4.3.1)", ...without(":method")),
  badRequest("no :scheme (RFC 9114 §4.3.1)", ...without(":scheme")),
  badRequest("no :path (RFC 9114 §4.3.1)", ...without(":path")),
  badRequest("neither :authority nor host (RFC 9114 §4.3.1)", ...without(":authority")),
  onStream(
    atServer(
      "no :authority, as h3spec sends it (RFC 9114 §4.3.1)",
      H3.MESSAGE_ERROR,
      onBidi(frame(0x01, hex("0000 d1 d7 c1"))),
    ),
  ),
  onStream(
    atServer(
      "pseudo-header fields that do not exist, as h3spec sends them (RFC 9114 §4.3)",
      H3.MESSAGE_ERROR,
      onBidi(
        frame(
          0x01,
          hex("0000 d1 d7 2702 3a6175746f72697479 09 3132372e302e302e31 c1 24 3a666f6f 03 626172"),
        ),
      ),
    ),
  ),
  onStream(
    atServer(
      "a pseudo-header field after a field, as h3spec sends it (RFC 9114 §4.3)",
      H3.MESSAGE_ERROR,
      onBidi(
        frame(
          0x01,
          hex("0000 d1 d7 2702 3a6175746f72697479 09 3132372e302e302e31 23 666f6f 03 626172 c1"),
        ),
      ),
    ),
  ),
  onStream(
    atServer(
      "a pseudo-header field that occurs twice, as h3spec sends it (RFC 9114 §4.3)",
      H3.MESSAGE_ERROR,
      onBidi(frame(0x01, hex("0000 d1 d7 50 09 3132372e302e302e31 c1 d1"))),
    ),
  ),
  badRequest(
    "a pseudo-header field after a field (RFC 9114 §4.3)",
    ...without(":path"),
    ["a", "b"],
    [":path", "/"],
  ),
  badRequest("a pseudo-header field of responses (RFC 9114 §4.3)", ...get, [":status", "200"]),
  badRequest("a field name in upper case (RFC 9114 §4.2)", ...get, ["Accept", "x"]),
  badRequest("an empty field name (RFC 9114 §4.2)", ...get, ["", "x"]),
  badRequest("a space in a field name (RFC 9114 §10.3)", ...get, ["a b", "x"]),
  badRequest("a colon in a field name (RFC 9114 §10.3)", ...get, ["a:b", "x"]),
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].map((name) =>
    badRequest(`the connection-specific field ${name} (RFC 9114 §4.2, RFC 9110 §7.6.1)`, ...get, [
      name,
      "x",
    ]),
  ),
  badRequest("te other than trailers (RFC 9114 §4.2)", ...get, ["te", "trailers, gzip"]),
  ...["\0", "\r", "\n", "\x7f", "\x1b"].map((char) =>
    badRequest(`char ${char.charCodeAt(0)} in a value (RFC 9114 §10.3, RFC 9110 §5.5)`, ...get, [
      "a",
      `x${char}y`,
    ]),
  ),
  badRequest("an empty :path (RFC 9114 §4.3.1)", ...without(":path"), [":path", ""]),
  badRequest("a :path without its slash (RFC 9114 §4.3.1)", ...without(":path"), [":path", "x"]),
  badRequest("a space in :path (RFC 9114 §4.3)", ...without(":path"), [":path", "/a b"]),
  badRequest(":path * in a GET (RFC 9114 §4.3.1)", ...without(":path"), [":path", "*"]),
  badRequest("an empty :method (RFC 9114 §4.3.1)", ...without(":method"), [":method", ""]),
  badRequest(
    "a :method that is no token (RFC 9114 §4.3.1, RFC 9110 §5.6.2)",
    ...without(":method"),
    [":method", "G/T"],
  ),
  badRequest("a :scheme that is none (RFC 9114 §4.3.1)", ...without(":scheme"), [":scheme", "1:"]),
  badRequest("an empty :authority (RFC 9114 §4.3.1)", ...without(":authority"), [":authority", ""]),
  badRequest("user information in :authority (RFC 9114 §4.3.1)", ...without(":authority"), [
    ":authority",
    "me@a",
  ]),
  badRequest("a host that is not :authority (RFC 9114 §4.3.1)", ...get, ["host", "example.org"]),
  badRequest("an empty host (RFC 9114 §4.3.1)", ...without(":authority"), ["host", ""]),
  badRequest(
    "two hosts (RFC 9114 §4.3.1)",
    ...get,
    ["host", "example.com"],
    ["host", "example.com"],
  ),
  badRequest(
    "CONNECT with a path (RFC 9114 §4.4)",
    [":method", "CONNECT"],
    [":authority", "a:1"],
    [":path", "/"],
  ),
  badRequest(
    "CONNECT with a scheme (RFC 9114 §4.4)",
    [":method", "CONNECT"],
    [":authority", "a:1"],
    [":scheme", "https"],
  ),
  badRequest("CONNECT without authority (RFC 9114 §4.4)", [":method", "CONNECT"]),
  badRequest("a content-length that is no number (RFC 9114 §4.1.2)", ...post, [
    "content-length",
    "1x",
  ]),
  badRequest("a negative content-length (RFC 9114 §4.1.2)", ...post, ["content-length", "-1"]),
  badRequest(
    "two different content-lengths (RFC 9114 §4.1.2)",
    ...post,
    ["content-length", "1"],
    ["content-length", "2"],
  ),
  ...["5", "2147483648", "18446744073709551616", "9".repeat(400)].map((length) =>
    onStream(
      atServer(
        `less content than content-length ${length.slice(0, 20)} (RFC 9114 §4.1.2)`,
        H3.MESSAGE_ERROR,
        ended(onBidi(headers([...post, ["content-length", length]]), data(4))),
      ),
    ),
  ),
  onStream(
    atServer(
      "more content than its content-length (RFC 9114 §4.1.2)",
      H3.MESSAGE_ERROR,
      onBidi(headers([...post, ["content-length", "4"]]), data(3), data(2)),
    ),
  ),
  onStream(
    atServer(
      "a pseudo-header field in trailers (RFC 9114 §4.3)",
      H3.MESSAGE_ERROR,
      onBidi(headers(post), headers([[":path", "/"]])),
    ),
  ),
  onStream(
    atServer(
      "a connection-specific field in trailers (RFC 9114 §4.2)",
      H3.MESSAGE_ERROR,
      onBidi(headers(post), headers([["connection", "close"]])),
    ),
  ),
  onStream(
    atServer(
      "te in trailers (RFC 9114 §4.2)",
      H3.MESSAGE_ERROR,
      onBidi(headers(post), headers([["te", "trailers"]])),
    ),
  ),
  onStream(
    atServer(
      "a second request on a stream (RFC 9114 §4.1)",
      H3.MESSAGE_ERROR,
      onBidi(headers(get), headers(get)),
    ),
  ),
  badResponse("no :status (RFC 9114 §4.3.2)", ["a", "b"]),
  badResponse("a :status of two digits (RFC 9114 §4.3.2)", [":status", "20"]),
  badResponse("a :status that is no number (RFC 9114 §4.3.2)", [":status", "2x0"]),
  badResponse(":status twice (RFC 9114 §4.3)", [":status", "200"], [":status", "200"]),
  badResponse("status 101 (RFC 9114 §4.5)", [":status", "101"]),
  badResponse(
    "a pseudo-header field of requests (RFC 9114 §4.3)",
    [":status", "200"],
    [":path", "/"],
  ),
  badResponse("te (RFC 9114 §4.2)", [":status", "200"], ["te", "trailers"]),
  badResponse("a field name in upper case (RFC 9114 §4.2)", [":status", "200"], ["A", "b"]),
  onStream(
    atClient("a stream without a response (RFC 9114 §4.1)", H3.MESSAGE_ERROR, ended(onBidi())),
  ),
  onStream(
    atClient(
      "an interim response alone (RFC 9114 §4.1)",
      H3.MESSAGE_ERROR,
      ended(onBidi(headers([[":status", "100"]]))),
    ),
  ),
  onStream(
    atClient(
      "a second final response (RFC 9114 §4.1)",
      H3.MESSAGE_ERROR,
      onBidi(headers(ok), data(1), headers(ok)),
    ),
  ),
  onStream(
    atClient(
      "a 204 with content (RFC 9114 §4.1.2)",
      H3.MESSAGE_ERROR,
      onBidi(headers([[":status", "204"]]), data(1)),
    ),
  ),
  onStream(
    atClient(
      "a response shorter than its content-length (RFC 9114 §4.1.2)",
      H3.MESSAGE_ERROR,
      ended(onBidi(headers([...ok, ["content-length", "4"]]), data(3))),
    ),
  ),

  // Limits.
  onStream(
    atServer(
      "a HEADERS frame above our limit (RFC 9114 §4.2.2)",
      H3.EXCESSIVE_LOAD,
      onBidi(concat([hex("01"), varint(65_537)])),
    ),
  ),
  onStream(
    atServer(
      "a HEADERS frame of 2^62-1 bytes (RFC 9114 §4.2.2)",
      H3.EXCESSIVE_LOAD,
      onBidi(concat([hex("01"), varint((1n << 62n) - 1n)])),
    ),
  ),
  onStream(
    atServer(
      "a field section that is small on the wire and large in memory (RFC 9114 §4.2.2)",
      H3.EXCESSIVE_LOAD,
      onBidi(frame(0x01, hex("0000 d1 d7 c1"), text("\xdf".repeat(2_000)))),
    ),
  ),
];

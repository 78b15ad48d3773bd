import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cors as connect } from "@connectrpc/connect";
import type { RequestStream } from "../http3/request-stream.ts";
import { Cors, type CorsOptions } from "./cors.ts";
import type { FieldSection } from "./fields.ts";

const app = "https://app.example";
const stranger = "https://stranger.example";

/** A preflight request as browsers send it. */
function preflight(origin: string): FieldSection {
  return [
    [":method", "OPTIONS"],
    [":scheme", "https"],
    [":authority", "rpc.example"],
    [":path", "/a.Service/Method"],
    ["origin", origin],
    ["access-control-request-method", "POST"],
    ["access-control-request-headers", "content-type,connect-protocol-version"],
  ];
}

function call(origin?: string): FieldSection {
  return [[":method", "POST"], ...(origin === undefined ? [] : [["origin", origin] as const])];
}

/** What is sent when a whole request has arrived, and whether that was all. */
function answerTo(options: CorsOptions, request: FieldSection): [FieldSection, unknown][] {
  const sent: [FieldSection, unknown][] = [];
  const handler = new Cors(options).answerPreflight(recording(sent), request);
  handler?.headers(request);
  assert.deepEqual(sent, [], "not before the end of the request");
  handler?.end();
  return sent;
}

/** The header section of a response with a type and nothing else. */
function responseTo(options: CorsOptions, request: FieldSection): FieldSection {
  const sent: [FieldSection, unknown][] = [];
  new Cors(options).wrap(recording(sent), request).sendHeaders([
    [":status", "200"],
    ["content-type", "application/proto"],
  ]);
  return sent[0]?.[0] ?? assert.fail();
}

function recording(sent: [FieldSection, unknown][]): RequestStream {
  const stream: Pick<RequestStream, "sendHeaders"> = {
    sendHeaders: (fields, options) => sent.push([fields, options]),
  };
  return stream as RequestStream;
}

describe("Cors", () => {
  test("lets pages of a named origin do what the protocols need, and what was named", () => {
    const options: CorsOptions = {
      origins: ["https://first.example", app],
      allowedHeaders: ["authorization"],
    };
    assert.deepEqual(answerTo(options, preflight(app)), [
      [
        [
          [":status", "204"],
          ["vary", "origin"],
          ["access-control-allow-origin", app],
          ["access-control-allow-methods", "POST, GET"],
          ["access-control-allow-headers", [...connect.allowedHeaders, "authorization"].join(", ")],
          ["access-control-max-age", "7200"],
        ],
        { end: true },
      ],
    ]);
    const [[fields] = assert.fail()] = answerTo({ ...options, maxAgeSeconds: 0 }, preflight(app));
    assert.deepEqual(fields.at(-1), ["access-control-max-age", "0"]);
  });

  test("answers pages of other origins without a permission, and says that others get another answer", () => {
    const others = [stranger, "null", "http://app.example", "https://app.example:8443", `${app}/`];
    for (const origin of others) {
      assert.deepEqual(answerTo({ origins: [app], credentials: true }, preflight(origin)), [
        [
          [
            [":status", "204"],
            ["vary", "origin"],
          ],
          { end: true },
        ],
      ]);
      assert.deepEqual(responseTo({ origins: [app] }, call(origin)), [
        [":status", "200"],
        ["content-type", "application/proto"],
        ["vary", "origin"],
      ]);
    }
  });

  test("lets pages read what the protocols need, and what was named", () => {
    assert.deepEqual(responseTo({ origins: [app], exposedHeaders: ["x-served-by"] }, call(app)), [
      [":status", "200"],
      ["content-type", "application/proto"],
      ["vary", "origin"],
      ["access-control-allow-origin", app],
      ["access-control-expose-headers", [...connect.exposedHeaders, "x-served-by"].join(", ")],
    ]);
  });

  test("tells whoever is no page only that pages get another answer", () => {
    assert.deepEqual(responseTo({ origins: "*" }, call()).slice(2), [["vary", "origin"]]);
  });

  test("lets pages of all origins call with a star, those without an origin included", () => {
    for (const origin of [app, stranger, "null"]) {
      const star = ["access-control-allow-origin", "*"];
      assert.deepEqual(answerTo({ origins: "*" }, preflight(origin))[0]?.[0][2], star);
      assert.deepEqual(responseTo({ origins: "*" }, call(origin))[3], star);
    }
  });

  test("allows credentials when asked to, with each answer", () => {
    const options: CorsOptions = { origins: [app], credentials: true };
    const allowed = ["access-control-allow-credentials", "true"];
    assert.deepEqual(answerTo(options, preflight(app))[0]?.[0][3], allowed);
    assert.deepEqual(responseTo(options, call(app))[4], allowed);
  });

  test("leaves every request alone that is no preflight", () => {
    const fields = preflight(app);
    for (const missing of ["origin", "access-control-request-method"]) {
      const request = fields.filter(([name]) => name !== missing);
      assert.equal(new Cors({ origins: [app] }).answerPreflight(recording([]), request), undefined);
    }
    const post = fields.map(
      ([name, value]) => [name, name === ":method" ? "POST" : value] as const,
    );
    assert.equal(new Cors({ origins: [app] }).answerPreflight(recording([]), post), undefined);
  });

  test("takes origins with schemes of their own, as extensions and applications have them", () => {
    for (const origin of [
      "chrome-extension://abcdefghijklmnop",
      "capacitor://localhost",
      "http://localhost:3000",
      "http://[::1]:3000",
    ]) {
      const fields = responseTo({ origins: [origin] }, call(origin));
      assert.deepEqual(fields[3], ["access-control-allow-origin", origin]);
    }
  });

  test("refuses options that cannot be", () => {
    const origins = [app];
    const wrong: [unknown, RegExp, string?][] = [
      [{}, /option cors\.origins: expected an array/],
      [{ origins: app }, /option cors\.origins: expected an array, found "https:/],
      [{ origins: ["app.example"] }, /option cors\.origins: "app\.example" is no origin, such as /],
      [{ origins: [`${app}/`] }, /is no origin/],
      [{ origins: [`${app}:443`] }, /is no origin/],
      [{ origins: ["https://App.example"] }, /is no origin/],
      [{ origins: ["https://*.app.example"] }, /is no origin/],
      [{ origins: ["*"] }, /is no origin/],
      [{ origins: ["null"] }, /is no origin/],
      [{ origins: ["file://"] }, /is no origin/],
      [{ origins: [new URL(app)] }, /is no origin/],
      [{ origins: "*", credentials: true }, /option cors\.credentials: browsers take them for/],
      [{ origins, allowedHeaders: "x-a" }, /option cors\.allowedHeaders: expected an array/],
      [{ origins, allowedHeaders: ["x-a, x-b"] }, /cors\.allowedHeaders: "x-a, x-b" is no name/],
      [{ origins, exposedHeaders: ["x-a\r\nx-b: c"] }, /option cors\.exposedHeaders: /],
      [{ origins, exposedHeaders: [""] }, /option cors\.exposedHeaders: "" is no name of a header/],
      [{ origins, maxAgeSeconds: 0.5 }, /option cors\.maxAgeSeconds: expected a whole number/],
      [{ origins, maxAgeSeconds: -1 }, /option cors\.maxAgeSeconds: expected 0 to/, "RangeError"],
    ];
    for (const [options, message, name = "TypeError"] of wrong) {
      assert.throws(() => new Cors(options as CorsOptions), { name, message });
    }
  });
});

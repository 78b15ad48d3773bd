import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import {
  decodeSsdpResponse,
  encodeSoapAction,
  encodeSsdpSearch,
  findForwardingService,
  textOf,
} from "./upnp.ts";

const encoder = new TextEncoder();

function response(location: string, more = ""): Uint8Array {
  return encoder.encode(
    `HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nST: upnp:rootdevice\r\nLocation: ${location}\r\n${more}\r\n`,
  );
}

const location = new URL("http://10.0.0.1:5000/rootDesc.xml");

function description(...services: readonly (readonly [type: string, control: string])[]): string {
  const list = services.map(
    ([type, control]) =>
      `<service><serviceType>urn:schemas-upnp-org:service:${type}</serviceType>\n<controlURL>${control}</controlURL></service>`,
  );
  return `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList>${list.join("")}</serviceList></device></root>`;
}

test("the question for gateways is HTTP over UDP (UPnP Device Architecture 2.0 §1.3.2)", () => {
  const lines = new TextDecoder().decode(encodeSsdpSearch()).split("\r\n");
  assert.equal(lines[0], "M-SEARCH * HTTP/1.1");
  assert.ok(lines.includes('MAN: "ssdp:discover"'));
  assert.deepEqual(lines.slice(-2), ["", ""]);
});

test("a device may send us to itself, and to nobody else", () => {
  assert.deepEqual(decodeSsdpResponse(response(location.href), "10.0.0.1"), location);
  for (const elsewhere of [
    "http://10.0.0.2:5000/rootDesc.xml",
    "http://127.0.0.1:22/",
    "https://10.0.0.1/rootDesc.xml",
    "file:///etc/passwd",
    "http://10.0.0.1@example.org/",
    "rootDesc.xml",
    "",
  ]) {
    assert.equal(decodeSsdpResponse(response(elsewhere), "10.0.0.1"), undefined, elsewhere);
  }
  for (const text of [
    "",
    "NOTIFY * HTTP/1.1\r\nLocation: http://10.0.0.1/\r\n",
    "HTTP/1.1 500 no",
  ]) {
    assert.equal(decodeSsdpResponse(encoder.encode(text), "10.0.0.1"), undefined, text);
  }
});

test("the service that forwards ports is found in a description, of either version", () => {
  const other = ["Layer3Forwarding:1", "/l3"] as const;
  for (const type of ["WANIPConnection:1", "WANIPConnection:2", "WANPPPConnection:1"]) {
    assert.deepEqual(findForwardingService(description(other, [type, "/ctl/IPConn"]), location), {
      type: `urn:schemas-upnp-org:service:${type}`,
      controlUrl: new URL("http://10.0.0.1:5000/ctl/IPConn"),
    });
  }
  const whole = description(["WANIPConnection:1", "http://10.0.0.1:80/ctl"]);
  assert.equal(findForwardingService(whole, location)?.controlUrl.href, "http://10.0.0.1/ctl");
  const based = `<URLBase>http://10.0.0.1:81/x/</URLBase>${description(["WANIPConnection:1", "ctl"])}`;
  assert.equal(findForwardingService(based, location)?.controlUrl.href, "http://10.0.0.1:81/x/ctl");
});

test("a description does not send us elsewhere either", () => {
  for (const text of [
    description(["WANIPConnection:1", "http://10.0.0.2/ctl"]),
    description(["WANIPConnection:3", "/ctl"]),
    description(["WANIPConnection:1", ""]),
    description(["Layer3Forwarding:1", "/ctl"]),
    "<service><controlURL>/ctl</controlURL></service>",
    "",
  ]) {
    assert.equal(findForwardingService(text, location), undefined, text);
  }
  const base = `<URLBase>http://10.0.0.2/</URLBase>${description(["WANIPConnection:1", "/ctl"])}`;
  assert.equal(findForwardingService(base, location)?.controlUrl.host, "10.0.0.1:5000");
});

test("an action is an envelope with its arguments in order", () => {
  const service = { type: "urn:schemas-upnp-org:service:WANIPConnection:1", controlUrl: location };
  const { headers, body } = encodeSoapAction(service, "Act", { One: 1, Two: "" });
  assert.equal(headers.soapaction, '"urn:schemas-upnp-org:service:WANIPConnection:1#Act"');
  assert.match(
    new TextDecoder().decode(body),
    /<s:Body><u:Act xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1"><One>1<\/One><Two><\/Two><\/u:Act><\/s:Body>/,
  );
});

test("textOf reads the first element of a name", () => {
  assert.equal(textOf("<a><b> x </b><b>y</b></a>", "b"), "x");
  assert.equal(textOf("<b/>", "b"), undefined);
  assert.equal(textOf("<bc>x</bc>", "b"), undefined);
});

test("F30: any bytes are an answer or nothing, and any text a description or nothing", () => {
  const piece = fc.constantFrom(
    "<service>",
    "</service>",
    "<serviceType>",
    "</serviceType>",
    "<controlURL>",
    "</controlURL>",
    "<URLBase>",
    "</URLBase>",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "http://10.0.0.1/",
    "/a",
    " ",
    "%",
  );
  fuzz(
    fc.array(fc.oneof({ weight: 5, arbitrary: piece }, fc.string({ maxLength: 5 })), {
      maxLength: 20,
    }),
    (pieces) => {
      const found = findForwardingService(pieces.join(""), location);
      assert.ok(found === undefined || found.controlUrl.hostname === "10.0.0.1");
    },
  );
  const line = fc.constantFrom(
    "HTTP/1.1 200 OK",
    "LOCATION: http://10.0.0.1/x",
    "Location:",
    "\r\n",
    ":",
    "http://[::1]/",
  );
  fuzz(fc.array(fc.oneof(line, fc.string({ maxLength: 5 })), { maxLength: 8 }), (lines) => {
    const found = decodeSsdpResponse(encoder.encode(lines.join("\r\n")), "10.0.0.1");
    assert.ok(found === undefined || found.hostname === "10.0.0.1");
  });
});

test("a description that is made to be slow is read in no time", () => {
  for (const text of ["<service>", "<serviceType>", "<URLBase> ", "<URLBase><"]) {
    findForwardingService(text.repeat((64 * 1_024) / text.length), location);
  }
  findForwardingService(`<URLBase>${" ".repeat(64 * 1_024)}`, location);
});

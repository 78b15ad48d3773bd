import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { ManualPlatform, settled } from "../../test/support/manual-platform.ts";
import { deferred } from "../base/deferred.ts";
import {
  formatSocketAddress,
  parseSocketAddress,
  type SocketAddress,
} from "../base/socket-address.ts";
import type { DatagramSocketHandler } from "./datagram-socket.ts";
import { nodeRequest } from "./node-http.ts";
import { textOf } from "./upnp.ts";
import { UpnpMethod } from "./upnp-method.ts";

const { signal } = new AbortController();

interface GatewayOptions {
  /** Ports that belong to other hosts. */
  readonly taken?: readonly number[];
  readonly externalHost?: string;
  /** The gateway has been replaced by something that answers everything with this. */
  readonly broken?: number;
}

/** A gateway at 127.0.0.1 over real HTTP. SSDP does not leave this process: nothing in a test asks a real network. */
async function startGateway(context: TestContext, options: GatewayOptions = {}) {
  const { taken = [], externalHost = "198.51.100.7", broken } = options;
  const actions: string[] = [];
  let descriptions = 0;
  const server = createServer(async (request, response) => {
    if (broken !== undefined) {
      response.writeHead(broken, { location: "http://127.0.0.1:1/" }).end();
      return;
    }
    if (request.method === "GET") {
      descriptions += 1;
      response.end(`<root><device><serviceList><service>
        <serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
        <controlURL>/ctl</controlURL></service></serviceList></device></root>`);
      return;
    }
    const body = await textOfRequest(request);
    const action = /#(\w+)"$/.exec(`${request.headers.soapaction}`)?.[1] ?? "";
    const args = [...body.matchAll(/<(New\w+)>([^<]*)</g)].map(
      ([, name, value]) => `${name}=${value}`,
    );
    actions.push([action, ...args].join(" "));
    if (action === "AddPortMapping" && taken.includes(Number(textOf(body, "NewExternalPort")))) {
      response.writeHead(500).end("<errorCode>718</errorCode>");
    } else {
      response.end(`<NewExternalIPAddress>${externalHost}</NewExternalIPAddress>`);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    location: `http://127.0.0.1:${port}/rootDesc.xml`,
    actions: () => actions.splice(0),
    descriptions: () => descriptions,
  };
}

async function textOfRequest(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const piece of request) {
    text += piece;
  }
  return text;
}

/** A host whose questions for gateways are answered with these locations, by 127.0.0.1. */
function host(locations: readonly string[], from = "127.0.0.1:1900") {
  const platform = new ManualPlatform();
  const asked: string[] = [];
  let open = 0;
  const answer = (handler: DatagramSocketHandler): void => {
    for (const location of locations) {
      const text = `HTTP/1.1 200 OK\r\nLOCATION: ${location}\r\n\r\n`;
      handler.datagram(parseSocketAddress(from), new TextEncoder().encode(text));
    }
  };
  const method = new UpnpMethod({
    platform,
    network: {
      request: nodeRequest,
      interfaces: () =>
        ["10.9.9.9", "127.0.0.1", "192.168.0.2"].map((address) => ({
          interfaceName: "eth0",
          host: address,
          family: 4,
          internal: false,
        })),
      bindSocket: async (_addresses, handler) => {
        open += 1;
        return {
          localAddresses: [],
          send: (to: SocketAddress) => {
            asked.push(formatSocketAddress(to));
            queueMicrotask(() => answer(handler));
          },
          setRef: () => {},
          close: async () => {
            open -= 1;
          },
        };
      },
    },
    gateway: () => "127.0.0.1",
  });
  return { platform, method, asked, open: () => open };
}

const mapped = "NewRemoteHost= NewExternalPort=7 NewProtocol=UDP NewInternalPort=7";

test("UpnpMethod finds a gateway, maps a port, renews and gives it back", async (context) => {
  const gateway = await startGateway(context);
  const { platform, method, asked, open } = host([gateway.location]);
  const mapping = { address: parseSocketAddress("198.51.100.7:7"), lifetimeMs: 7_200_000 };
  assert.deepEqual(await method.map(7, { previous: undefined, signal }), mapping);
  assert.deepEqual(asked, ["239.255.255.250:1900", "127.0.0.1:1900"]);
  const add = `AddPortMapping ${mapped} NewInternalClient=127.0.0.1 NewEnabled=1 NewPortMappingDescription=connect-quic NewLeaseDuration=7200`;
  assert.deepEqual(gateway.actions(), [add, "GetExternalIPAddress"]);
  assert.deepEqual(await method.map(7, { previous: mapping.address, signal }), mapping);
  assert.deepEqual(gateway.actions(), [add, "GetExternalIPAddress"]);
  assert.equal(gateway.descriptions(), 1, "the gateway is known by then");
  await method.unmap(7, { signal });
  await method.unmap(7, { signal });
  assert.deepEqual(gateway.actions(), [
    "DeletePortMapping NewRemoteHost= NewExternalPort=7 NewProtocol=UDP",
  ]);
  assert.equal(open(), 0);
  assert.equal(platform.timers, 0);
});

test("UpnpMethod takes another port where the wanted one belongs to another host", async (context) => {
  const gateway = await startGateway(context, { taken: [7] });
  const { platform, method } = host([gateway.location]);
  platform.randomByte = 0x81;
  const { address } = await method.map(7, { previous: undefined, signal });
  assert.equal(address.port, 0x8181 | 0x0400);
  const all = await startGateway(context, { taken: [7, 0x8581] });
  const stubborn = host([all.location]);
  stubborn.platform.randomByte = 0x81;
  const refused = stubborn.method.map(7, { previous: undefined, signal });
  await assert.rejects(refused, /AddPortMapping with 500, error 718/);
  assert.equal(all.actions().length, 3);
});

test("UpnpMethod passes over devices that are no gateways, and those that send it elsewhere", async (context) => {
  const gateway = await startGateway(context);
  const broken = await startGateway(context, { broken: 404 });
  const redirecting = await startGateway(context, { broken: 302 });
  const { method } = host([
    "http://10.0.0.1/rootDesc.xml",
    "http://127.0.0.1:1/",
    broken.location,
    broken.location,
    redirecting.location,
    gateway.location,
  ]);
  assert.equal((await method.map(7, { previous: undefined, signal })).address.port, 7);
});

test("UpnpMethod looks at four devices, asks three times, and then waits for its signal", async (context) => {
  const gateway = await startGateway(context);
  const flood = Array.from({ length: 1_000 }, (_, index) => `http://127.0.0.1:1/${index}`);
  const { platform, method, asked, open } = host([...flood, gateway.location]);
  const stop = new AbortController();
  const mapping = method.map(7, { previous: undefined, signal: stop.signal });
  const outcome = deferred<unknown>();
  mapping.catch(outcome.resolve);
  await settled();
  platform.advance(10_000);
  await settled();
  assert.equal(asked.length, 6);
  stop.abort(new Error("no answer within 5000 ms"));
  assert.match(String(await outcome.promise), /no answer within 5000 ms/);
  assert.equal(gateway.descriptions(), 0);
  await settled();
  assert.equal(open(), 0);
});

test("UpnpMethod does not take a gateway's nonsense for an address", async (context) => {
  for (const externalHost of ["", "nowhere", "&lt;script&gt;"]) {
    const gateway = await startGateway(context, { externalHost });
    const { method } = host([gateway.location]);
    await assert.rejects(method.map(7, { previous: undefined, signal }), TypeError);
  }
});

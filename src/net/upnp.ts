// UPnP as far as a port of a gateway goes: SSDP finds a device (UPnP Device Architecture 2.0 §1.3), its description says
// where its WANIPConnection service is (§2.3), and that is told by SOAP what to do (§3.2). Both versions of the gateway
// device (IGD:1, IGD:2) know the three actions that are used.

/** Where SSDP's questions go. */
export const ssdpGroup = { host: "239.255.255.250", port: 1_900 } as const;

/** A question for gateways; those of version 2 answer to version 1 as well (§1.3.2). */
export function encodeSsdpSearch(): Uint8Array {
  return new TextEncoder().encode(
    [
      "M-SEARCH * HTTP/1.1",
      `HOST: ${ssdpGroup.host}:${ssdpGroup.port}`,
      'MAN: "ssdp:discover"',
      "MX: 1",
      "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1",
      "",
      "",
    ].join("\r\n"),
  );
}

/** Where the description of the device is that answers from `host`. Undefined for anything else, and for another's. */
export function decodeSsdpResponse(bytes: Uint8Array, host: string): URL | undefined {
  const [status = "", ...lines] = new TextDecoder().decode(bytes.subarray(0, 2_048)).split("\r\n");
  if (!/^HTTP\/1\.[01] 200\b/.test(status)) {
    return undefined;
  }
  const [, location = ""] =
    lines.map((line) => /^location:\s*(\S+)\s*$/i.exec(line)).find((found) => found !== null) ?? [];
  // Whoever answers may send us to itself alone.
  return urlOn(host, location);
}

/** A service of a gateway that forwards ports. */
export interface ForwardingService {
  /** Its type and version, which every action has to name. */
  readonly type: string;
  readonly controlUrl: URL;
}

/** The first such service in a device's description. Undefined where there is none. */
export function findForwardingService(
  description: string,
  location: URL,
): ForwardingService | undefined {
  const base = urlOn(location.hostname, textOf(description, "URLBase") ?? "") ?? location;
  for (const service of description.split("<service>").slice(1)) {
    const type = textOf(service, "serviceType");
    const controlUrl = urlOn(location.hostname, textOf(service, "controlURL") ?? "", base);
    if (type !== undefined && forwardingType.test(type) && controlUrl !== undefined) {
      return { type, controlUrl };
    }
  }
  return undefined;
}

const forwardingType = /^urn:schemas-upnp-org:service:WAN(?:IP|PPP)Connection:[12]$/;

/** An action with its arguments, in the service's order. Values are ours, and need no escaping. */
export function encodeSoapAction(
  { type }: ForwardingService,
  action: string,
  args: Readonly<Record<string, string | number>>,
): { readonly headers: Readonly<Record<string, string>>; readonly body: Uint8Array } {
  const content = Object.entries(args).map(([name, value]) => `<${name}>${value}</${name}>`);
  const body = [
    '<?xml version="1.0"?>',
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"',
    ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">',
    `<s:Body><u:${action} xmlns:u="${type}">${content.join("")}</u:${action}></s:Body>`,
    "</s:Envelope>",
  ].join("");
  return {
    headers: { "content-type": 'text/xml; charset="utf-8"', soapaction: `"${type}#${action}"` },
    body: new TextEncoder().encode(body),
  };
}

/** The text of the first element of this name, without a prefix and attributes. Linear, as XML of strangers has to be. */
export function textOf(xml: string, name: string): string | undefined {
  const start = xml.indexOf(`<${name}>`);
  const end = start < 0 ? start : xml.indexOf(`</${name}>`, start);
  return end < 0 ? undefined : xml.slice(start + name.length + 2, end).trim();
}

/** A plain HTTP URL at a host that is known. */
function urlOn(host: string, text: string, base?: URL): URL | undefined {
  if (text === "" || !URL.canParse(text, base?.href)) {
    return undefined;
  }
  const url = new URL(text, base);
  return url.protocol === "http:" && url.hostname === host ? url : undefined;
}

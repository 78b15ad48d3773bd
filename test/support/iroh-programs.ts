import { CargoBinary } from "./cargo-binary.ts";

/** iroh's relay server. */
export const irohRelay: CargoBinary = new CargoBinary({
  crate: "iroh-relay",
  version: "1.4.1",
  features: ["server"],
});

/** iroh's DNS and pkarr server. */
export const irohDnsServer: CargoBinary = new CargoBinary({
  crate: "iroh-dns-server",
  version: "1.4.1",
});

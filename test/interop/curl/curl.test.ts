import { fileURLToPath } from "node:url";
import { PythonEnvironment } from "../../support/python-environment.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { describeClient } from "../http3/as-client.ts";

const python = new PythonEnvironment("curl_cffi", "curl_cffi>=0.16,<0.17");
const missing = python.prepare();

stayAlive();
describeClient(
  {
    name: `curl_cffi${python.version()} (libcurl, ngtcp2, nghttp3)`,
    missing,
    command: python.interpreter,
    args: [fileURLToPath(new URL("peer.py", import.meta.url))],
  },
  {
    without: { GOAWAY: "this stack has one transfer at a time" },
    // libcurl has no table for what servers send.
    qpackTable: ["received"],
  },
);

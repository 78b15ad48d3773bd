import { runNodeJs } from "@bufbuild/protoplugin";
import { protocGenConnectQuic } from "./plugin.ts";
import { noticeFor } from "./usage.ts";

const notice = noticeFor(process.argv.slice(2), {
  version: protocGenConnectQuic.version,
  stdinIsTerminal: process.stdin.isTTY,
});
if (notice === undefined) {
  runNodeJs(protocGenConnectQuic);
} else {
  const output = notice.exitCode === 0 ? process.stdout : process.stderr;
  output.write(notice.text);
  process.exitCode = notice.exitCode;
}

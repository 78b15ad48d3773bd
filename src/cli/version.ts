import { readFileSync } from "node:fs";

/** Of this package. The file is as far away from the source as from what is compiled. */
export function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { readonly version: string };
  return version;
}

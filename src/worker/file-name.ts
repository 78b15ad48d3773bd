import { plainLine } from "./plain-text.ts";
import { maxFileNameLength } from "./worker-limits.ts";

/** The name of a file as others give it, made fit to be shown, and to be that of a file in some folder: its last part alone. */
export function plainFileName(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? "";
  // What Windows takes for something else is replaced everywhere; a dot in front would hide the file.
  const plain = plainLine(last.replace(/[<>:"|?*]/g, "_"), maxFileNameLength).replace(/^\.+/, "");
  return plain === "" ? "file" : plain;
}

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Starts the process that cleans up after this one, should it be killed. It ends by itself. */
export function startWatchdog(): void {
  const program = fileURLToPath(new URL("watchdog.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import=tsx", program, String(process.pid)], {
    // In a session of its own, out of the way of what ends this one.
    detached: true,
    stdio: ["pipe", "ignore", "inherit"],
  });
  child.on("error", (error) => console.error(`no watchdog: ${error.message}`));
  // Neither the process nor its pipe keep us from ending.
  child.unref();
  if (child.stdin !== null && "unref" in child.stdin && typeof child.stdin.unref === "function") {
    child.stdin.unref();
  }
}

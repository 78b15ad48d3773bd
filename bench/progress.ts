import type { WriteStream } from "node:tty";

/** Shows what is going on: on a terminal in one line that changes, elsewhere with a line for each workload. */
export function createProgress(
  stream: Pick<WriteStream, "write"> & { readonly isTTY?: boolean },
): (workload: string, now: string) => void {
  let last = "";
  return (workload, now) => {
    if (stream.isTTY === true) {
      stream.write(`\r\x1b[K${workload}: ${now}`);
    } else if (workload !== last) {
      stream.write(`${workload}\n`);
    }
    last = workload;
  };
}

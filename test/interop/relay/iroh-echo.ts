import type { Connection as IrohConnection } from "@number0/iroh";

const maxBytes = 100_000_000;

/** Answers every stream with what came, until the connection ends. */
export async function echo(connection: IrohConnection): Promise<void> {
  for (;;) {
    const stream = await connection.acceptBi().catch(() => undefined);
    if (stream === undefined) {
      return;
    }
    void (async () => {
      await stream.send.writeAll(await stream.recv.readToEnd(maxBytes));
      await stream.send.finish();
    })().catch(() => {});
  }
}

/** What the other side makes of `bytes`. */
export async function call(connection: IrohConnection, bytes: number[]): Promise<number[]> {
  const stream = await connection.openBi();
  const [, answer] = await Promise.all([
    stream.send.writeAll(bytes).then(() => stream.send.finish()),
    stream.recv.readToEnd(maxBytes),
  ]);
  return answer;
}

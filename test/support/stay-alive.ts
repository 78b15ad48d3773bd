import { after, before } from "node:test";

/** Without a socket, a test that waits for an unreferenced timer or for nothing at all would end with its process. */
export function stayAlive(): void {
  let timer: NodeJS.Timeout | undefined;
  before(() => {
    timer = setInterval(() => {}, 60_000);
  });
  after(() => clearInterval(timer));
}

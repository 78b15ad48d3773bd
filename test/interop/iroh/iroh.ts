// Real iroh, as it comes to Node.js: the npm package @number0/iroh, a native binding.

type Iroh = typeof import("@number0/iroh");

let loaded: Iroh | undefined;
let problem: unknown;
try {
  loaded = await import("@number0/iroh");
} catch (error) {
  problem = error;
}

/** Why iroh's tests cannot run here, for the tests' `skip`; false where they can. */
export const noIroh: string | false =
  loaded === undefined ? `@number0/iroh has no build for this machine: ${problem}` : false;

/** The package. Throws where {@link noIroh} is set. */
export function iroh(): Iroh {
  if (loaded === undefined) {
    throw new Error(String(noIroh));
  }
  return loaded;
}

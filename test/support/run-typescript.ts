/** The argument with which Node.js runs a TypeScript program of this repository. */
export const runTypeScript: string = `--import=${new URL("../../scripts/typescript.mjs", import.meta.url).href}`;

import { readFile } from "node:fs/promises";

/** A file of the page, by the path at which it is served. */
export interface PageFile {
  readonly type: string;
  readonly bytes: Uint8Array;
}

const types = {
  "index.html": "text/html; charset=utf-8",
  "page.css": "text/css; charset=utf-8",
  "page.js": "text/javascript; charset=utf-8",
  "icon.svg": "image/svg+xml",
} as const;

/**
 * The page, which the build puts into a folder beside this file. Rejects where it has not.
 */
export async function readPageFiles(): Promise<ReadonlyMap<string, PageFile>> {
  const read = async ([name, type]: [string, string]): Promise<[string, PageFile]> => {
    const path = name === "index.html" ? "/" : `/${name}`;
    return [path, { type, bytes: await readFile(new URL(`page/${name}`, import.meta.url)) }];
  };
  try {
    return new Map(await Promise.all(Object.entries(types).map(read)));
  } catch (cause) {
    throw new Error("the worker's page is not built: run npm run build, or use --page off", {
      cause,
    });
  }
}

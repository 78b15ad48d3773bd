// Files that hold a secret: nobody but the owner can read them, and nobody ever sees half of one.

import { randomBytes } from "node:crypto";
import {
  constants,
  copyFile,
  type FileHandle,
  link,
  mkdir,
  open,
  rename,
  rm,
} from "node:fs/promises";
import { dirname } from "node:path";
import { IdentityError } from "./identity-error.ts";

export interface LoadKeyFileOptions {
  /** A file that other users can read is an error. Default false: it is a warning (`process.emitWarning`). */
  readonly strict?: boolean | undefined;
}

/** No key in any format is longer. Bytes. */
const maxFileSize = 16_384;

/** The content of a key file. Throws {@link IdentityError} `key-file`; its cause is what the file system said. */
export async function readKeyFile(path: string, options?: LoadKeyFileOptions): Promise<Uint8Array> {
  try {
    const file = await open(path, "r");
    try {
      await checkKeyFile(file, path, options?.strict === true);
      return new Uint8Array(await file.readFile());
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError("load", path, error);
  }
}

/** Writes a new file. Throws {@link IdentityError} `key-file`, with cause EEXIST where there is one. */
export async function createKeyFile(path: string, content: Uint8Array): Promise<void> {
  await viaTemporary(path, content, async (temporary) => {
    try {
      // Fails where the name is taken, as rename does not; and from its first moment the name stands for the whole key.
      await link(temporary, path);
    } catch (error) {
      if (hasCode(error, "EEXIST")) {
        throw error;
      }
      // A file system without links. It too fails where the name is taken, but half a key can be seen for a moment.
      await copyFile(temporary, path, constants.COPYFILE_EXCL);
    }
    await rm(temporary);
  });
}

/** Writes a file, in the place of one that is there. Throws {@link IdentityError} `key-file`. */
export async function replaceKeyFile(path: string, content: Uint8Array): Promise<void> {
  await viaTemporary(path, content, (temporary) => rename(temporary, path));
}

async function checkKeyFile(file: FileHandle, path: string, strict: boolean): Promise<void> {
  const { mode, size } = await file.stat();
  // Windows has no such bits.
  if ((mode & 0o077) !== 0 && process.platform !== "win32") {
    const problem = `other users can read it (mode 0${(mode & 0o777).toString(8)}): chmod 600 ${path}`;
    if (strict) {
      throw new IdentityError("key-file", `cannot load key file ${path}: ${problem}`);
    }
    process.emitWarning(`key file ${path}: ${problem}`, { code: "CONNECT_QUIC_KEY_FILE_MODE" });
  }
  if (size > maxFileSize) {
    throw new IdentityError(
      "key-file",
      `cannot load key file ${path}: ${size} bytes, at most ${maxFileSize} are read`,
    );
  }
}

async function viaTemporary(
  path: string,
  content: Uint8Array,
  put: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    try {
      await writeDurably(temporary, content);
      await put(temporary);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  } catch (error) {
    throw fileError("save", path, error);
  }
}

async function writeDurably(path: string, content: Uint8Array): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

function fileError(verb: "load" | "save", path: string, error: unknown): IdentityError {
  if (error instanceof IdentityError) {
    return error;
  }
  const problem = error instanceof Error ? error.message : String(error);
  return new IdentityError("key-file", `cannot ${verb} key file ${path}: ${problem}`, {
    cause: error,
  });
}

/** Whether the file system said this. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

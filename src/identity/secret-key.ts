import { EncodingError } from "../base/encoding-error.ts";
import { encodeHex } from "../base/hex.ts";
import { showAs } from "../base/inspect.ts";
import { type Ed25519Key, ed25519Key } from "./ed25519.ts";
import { EndpointId } from "./endpoint-id.ts";
import { IdentityError } from "./identity-error.ts";
import {
  createKeyFile,
  hasCode,
  type LoadKeyFileOptions,
  readKeyFile,
  replaceKeyFile,
} from "./key-file.ts";
import { keyLength, parseKeyText } from "./key-text.ts";
import { encodeOpensshKey } from "./openssh-key.ts";
import { decodePem, encodePem } from "./pem.ts";

/**
 * How a key stands in a file: PKCS#8 in PEM, 64 hexadecimal digits and a line end, the 32 bytes, or as OpenSSH keeps keys,
 * which iroh-doctor and other programs with iroh read.
 */
export type KeyFormat = "pem" | "hex" | "raw" | "openssh";

export interface SaveKeyOptions {
  /** Default "pem". */
  readonly format?: KeyFormat | undefined;
  /** Replaces a file that is there. Default false: losing a key is losing the identity. */
  readonly overwrite?: boolean | undefined;
}

/**
 * An Ed25519 secret key: who has it, is the peer. It does not show when it is printed, logged or put into JSON; `toHex`,
 * `toPem` and `bytes` give it away.
 */
export class SecretKey {
  static {
    showAs(SecretKey, (key) => key.toString());
  }

  readonly #seed: Uint8Array;
  readonly #key: Ed25519Key;
  /** The id of the peer that has this key. */
  readonly publicKey: EndpointId;

  private constructor(seed: Uint8Array) {
    this.#seed = seed;
    this.#key = ed25519Key(seed);
    this.publicKey = EndpointId.fromBytes(this.#key.publicKey);
  }

  /** A new key from the system's source of randomness. */
  static generate(): SecretKey {
    return new SecretKey(crypto.getRandomValues(new Uint8Array(keyLength)));
  }

  /** Takes the 32-byte seed of RFC 8032, which is copied. Throws {@link IdentityError} `invalid-key`. */
  static fromBytes(seed: Uint8Array): SecretKey {
    if (seed.length !== keyLength) {
      throw invalid(`${seed.length} bytes, expected ${keyLength}`);
    }
    return new SecretKey(new Uint8Array(seed));
  }

  /** Reads 64 lower-case hexadecimal digits or 52 of base32, as iroh does. Throws {@link IdentityError} `invalid-key`. */
  static parse(text: string): SecretKey {
    try {
      return new SecretKey(parseKeyText(text));
    } catch (error) {
      if (!(error instanceof EncodingError)) {
        throw error;
      }
      // Neither the text nor a part of it: messages end up in logs.
      throw invalid(
        error.index === undefined
          ? error.message
          : `character ${error.index + 1} cannot stand in ${text.length} digits of lower-case hexadecimal or base32`,
      );
    }
  }

  /** Reads a key of PKCS#8 or of OpenSSH that is not encrypted. Throws {@link IdentityError} `invalid-key`. */
  static fromPem(text: string): SecretKey {
    return new SecretKey(decodePem(text));
  }

  /**
   * Reads a key file in any of the formats that `save` writes, in base32, with or without a line end, or as OpenSSH has it:
   * what programs with iroh write.
   *
   * Who can read the file can be the peer: where its mode lets other users, a warning is emitted, or with `strict` an error
   * thrown (not on Windows). Throws {@link IdentityError} `key-file` and `invalid-key`.
   */
  static async load(path: string, options?: LoadKeyFileOptions): Promise<SecretKey> {
    const bytes = await readKeyFile(path, options);
    try {
      return SecretKey.#fromFile(bytes);
    } catch (error) {
      if (!(error instanceof IdentityError)) {
        throw error;
      }
      throw new IdentityError("invalid-key", `cannot load ${path}: ${error.message}`, {
        cause: error,
      });
    }
  }

  /**
   * Loads the key of a file, or, where there is none, makes one and saves it. Of several programs that do so at once, one
   * makes the key and the others load it. Throws as `load` and `save` do.
   */
  static async loadOrCreate(
    path: string,
    options?: LoadKeyFileOptions & { readonly format?: KeyFormat | undefined },
  ): Promise<SecretKey> {
    try {
      return await SecretKey.load(path, options);
    } catch (error) {
      if (!isFileError(error, "ENOENT")) {
        throw error;
      }
    }
    const key = SecretKey.generate();
    try {
      await key.save(path, { format: options?.format });
      return key;
    } catch (error) {
      if (!isFileError(error, "EEXIST")) {
        throw error;
      }
      return await SecretKey.load(path, options);
    }
  }

  /**
   * Writes the key to a file that its owner alone can read (mode 0600), whole or not at all. Folders that lack are made.
   * Throws {@link IdentityError} `key-file`, also when the file exists and `overwrite` is not set.
   */
  async save(path: string, options?: SaveKeyOptions): Promise<void> {
    const content = this.#toFile(options?.format ?? "pem");
    await (options?.overwrite === true
      ? replaceKeyFile(path, content)
      : createKeyFile(path, content));
  }

  /** Signs (RFC 8032). 64 bytes. */
  sign(message: Uint8Array): Uint8Array {
    return this.#key.sign(message);
  }

  /** The seed, a new copy each time. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.#seed);
  }

  /** The seed in hex: what iroh's programs take. */
  toHex(): string {
    return encodeHex(this.#seed);
  }

  toPem(): string {
    return encodePem(this.#seed);
  }

  toString(): string {
    return "SecretKey(..)";
  }

  toJSON(): string {
    return this.toString();
  }

  #toFile(format: KeyFormat): Uint8Array {
    switch (format) {
      case "pem":
        return new TextEncoder().encode(this.toPem());
      case "hex":
        return new TextEncoder().encode(`${this.toHex()}\n`);
      case "raw":
        return this.bytes;
      case "openssh":
        return new TextEncoder().encode(encodeOpensshKey(this.#seed, this.publicKey.bytes));
    }
  }

  static #fromFile(bytes: Uint8Array): SecretKey {
    // No text of a key has 32 characters.
    if (bytes.length === keyLength) {
      return SecretKey.fromBytes(bytes);
    }
    const text = new TextDecoder().decode(bytes);
    return text.includes("-----BEGIN ") ? SecretKey.fromPem(text) : SecretKey.parse(text.trim());
  }
}

function invalid(problem: string): IdentityError {
  return new IdentityError("invalid-key", `invalid secret key: ${problem}`);
}

/** Whether a key file is missing (ENOENT) or was there already (EEXIST). */
function isFileError(error: unknown, code: "ENOENT" | "EEXIST"): boolean {
  return error instanceof IdentityError && error.code === "key-file" && hasCode(error.cause, code);
}

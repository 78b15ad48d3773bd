import { maxKeptBytes, maxKeptFileBytes } from "./worker-limits.ts";

/** Room for a file that comes. */
export interface FileRoom {
  /** Not more than was reserved. */
  add(part: Uint8Array): void;
  /** The file is whole, and can be had from now on. */
  keep(): void;
  /** It will not be. */
  drop(): void;
}

const partBytes = 65_536;

export interface KeptFilesOptions {
  /** A file that was kept has made room for another. */
  readonly dropped: (number: number) => void;
  /** Of one file. Bytes, default 16 MiB. */
  readonly maxFileBytes?: number;
  /** Of all. Bytes, default 64 MiB. */
  readonly maxBytes?: number;
}

/** Files of peers, in memory, by the numbers of their benchmarks. The oldest make room for new ones. */
export class KeptFiles {
  readonly #options: Required<KeptFilesOptions>;
  readonly #files = new Map<number, { readonly bytes: number; readonly parts: Uint8Array[] }>();
  /** Of files that are kept, and those that come. */
  #bytes = 0;

  constructor({
    dropped,
    maxFileBytes = maxKeptFileBytes,
    maxBytes = maxKeptBytes,
  }: KeptFilesOptions) {
    this.#options = { dropped, maxFileBytes, maxBytes };
  }

  /** Parts of a file; undefined for one that is not kept. */
  get(number: number): readonly Uint8Array[] | undefined {
    return this.#files.get(number)?.parts;
  }

  /** Undefined when there is no room: the file is too large, or others that come take all there is. */
  reserve(number: number, bytes: number): FileRoom | undefined {
    const { dropped, maxBytes, maxFileBytes } = this.#options;
    if (bytes > maxFileBytes) {
      return undefined;
    }
    const kept = [...this.#files.values()].reduce((sum, file) => sum + file.bytes, 0);
    if (this.#bytes - kept + bytes > maxBytes) {
      return undefined;
    }
    for (const [oldest, file] of this.#files) {
      if (this.#bytes + bytes <= maxBytes) {
        break;
      }
      this.#files.delete(oldest);
      this.#bytes -= file.bytes;
      dropped(oldest);
    }
    this.#bytes += bytes;
    const parts: Uint8Array[] = [];
    let room = new Uint8Array();
    let left = bytes;
    let isOver = false;
    return {
      // Copied into parts of our own size: a peer could send a byte at a time, or what is a part of something larger.
      add: (part) => {
        for (let rest = part; rest.length > 0; ) {
          if (room.length === 0) {
            if (left === 0) {
              throw new RangeError("more data than was reserved");
            }
            room = new Uint8Array(Math.min(partBytes, left));
            left -= room.length;
            parts.push(room);
          }
          const fits = rest.subarray(0, room.length);
          room.set(fits);
          room = room.subarray(fits.length);
          rest = rest.subarray(fits.length);
        }
      },
      keep: () => {
        isOver = true;
        this.#files.set(number, { bytes, parts });
      },
      drop: () => {
        if (!isOver) {
          isOver = true;
          this.#bytes -= bytes;
        }
      },
    };
  }
}

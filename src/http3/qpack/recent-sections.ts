import type { FieldSection } from "./field.ts";

interface RecentSection {
  readonly bytes: Uint8Array;
  readonly requiredInsertCount: number;
  readonly fields: FieldSection;
}

/**
 * The last few sections that were decoded. Calls of one client have the same headers again and again, and what a section
 * says depends on its bytes and the dynamic table alone: while the table is unchanged, equal bytes need no decoding.
 */
export class RecentSections {
  #sections: RecentSection[] = [];
  #next = 0;

  /** The section with these bytes, if it was decoded lately. */
  find(bytes: Uint8Array): RecentSection | undefined {
    for (const section of this.#sections) {
      if (section.bytes.length === bytes.length && equalBytes(section.bytes, bytes)) {
        return section;
      }
    }
    return undefined;
  }

  /** Remembers a section in place of the oldest; copies `bytes`. Long ones are not remembered. */
  add(bytes: Uint8Array, requiredInsertCount: number, fields: FieldSection): void {
    if (bytes.length <= maxRememberedBytes) {
      // A copy has no room to grow.
      const section = { bytes: new Uint8Array(bytes), requiredInsertCount, fields };
      this.#sections = this.#sections.toSpliced(this.#next, 1, section);
      this.#next = (this.#next + 1) % maxRemembered;
    }
  }

  /** To be called whenever the table changes. */
  clear(): void {
    if (this.#sections.length > 0) {
      this.#sections = [];
      this.#next = 0;
    }
  }
}

const maxRemembered = 4;
const maxRememberedBytes = 512;

/** Back to front: the lines that differ from call to call tend to stand last. */
function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = a.length - 1; i >= 0; i--) {
    if (a[i] !== b[i]) {
      return false;
    }
  }
  return true;
}

/**
 * One field line: name in lower case (pseudo-header fields with their colon), value as text with one char per byte
 * (U+0000..U+00FF), because a field value is a byte string and not Unicode (RFC 9110 §5.5).
 */
export type Field = readonly [name: string, value: string];

/**
 * A field section in its order on the wire: pseudo-header fields first (RFC 9114 §4.3).
 * Not to be changed once it was handed over; the QPACK encoder remembers frozen ones (`Object.freeze`) by identity.
 */
export type FieldSection = readonly Field[];

/** What an entry or a field line costs beyond its bytes, in both RFC 9204 §3.2.1 and RFC 9114 §4.2.2. */
export const fieldOverhead = 32;

/** The size of a field section as SETTINGS_MAX_FIELD_SECTION_SIZE limits it, in bytes (RFC 9114 §4.2.2). */
export function fieldSectionSize(fields: FieldSection): number {
  let size = 0;
  for (const [name, value] of fields) {
    size += name.length + value.length + fieldOverhead;
  }
  return size;
}

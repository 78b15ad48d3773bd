/** One field line: name in lower case (pseudo-header fields with their colon), value as text with one char per byte. */
export type Field = readonly [name: string, value: string];

/** A field section in its order on the wire: pseudo-header fields first (RFC 9114 §4.3). */
export type FieldSection = readonly Field[];

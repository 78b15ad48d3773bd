const maxNickLength = 24;

/**
 * Text of others without what a terminal obeys, or what hides or turns round what is written: control and format
 * characters, of which those that join letters and emoji stay.
 */
export function printable(text: string): string {
  return text.replace(/(?:(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}])+/gu, " ");
}

/** Whether somebody, or a room, may be called that: up to 24 letters, digits and `_.-`. */
export function isName(text: string): boolean {
  return text.length <= maxNickLength && /^[\p{L}\p{M}\p{N}_.-]+$/u.test(text);
}

export const nameRule: string = `up to ${maxNickLength} letters, digits, "_", "." and "-"`;

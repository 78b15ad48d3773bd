/** Text that comes from others, without what a terminal obeys: control characters, and those that turn writing round. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]+/gu, " ");
}

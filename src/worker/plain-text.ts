/** Text of others in one line: without control characters and those that turn writing round, and not too long. */
export function plainLine(text: string, maxLength: number): string {
  const line = text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ")
    .replace(turning, "")
    .trim();
  const characters = [...line.slice(0, maxLength * 2)];
  return characters.length <= maxLength && line.length <= maxLength * 2
    ? line
    : `${characters.slice(0, maxLength - 1).join("")}…`;
}

/** Text of others with its lines: without other control characters, and those that turn writing round. */
export function plainText(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/[^\P{Cc}\n\t]/gu, "")
    .replace(turning, "");
}

/** What makes writing run the other way from here on (Unicode TR 9): a name could so look like another. */
const turning = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** JSON on one line, numbers to three digits behind the point. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "number" ? Math.round(part * 1_000) / 1_000 : part,
  );
}

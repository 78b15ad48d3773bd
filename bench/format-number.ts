/** Three digits that mean something, thousands in groups: `0.123`, `12.3`, `1,230`, `123,000`. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) {
    return "–";
  }
  const size = Math.abs(value);
  const digits = size < 1 ? 3 : size < 10 ? 2 : size < 100 ? 1 : 0;
  const rounded = size >= 10_000 ? Math.round(value / 100) * 100 : value;
  return rounded.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

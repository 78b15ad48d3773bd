/** Three digits are enough: `0.21 ms`, `4.8 ms`, `12.3 ms`, `1240 ms`. */
export function formatMs(ms: number): string {
  return `${ms.toFixed(ms < 1 ? 2 : ms < 100 ? 1 : 0)} ms`;
}

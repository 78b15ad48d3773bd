const units = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** `0 B`, `1.5 KiB`, `64 MiB`. */
export function formatBytes(bytes: number): string {
  const power = Math.min(
    Math.max(0, Math.floor(Math.log2(Math.max(bytes, 1)) / 10)),
    units.length - 1,
  );
  const value = bytes / 1_024 ** power;
  return `${power === 0 ? value : threeDigits(value)} ${units[power]}`;
}

/** `38.2 MB/s`. */
export function formatRate(bytesPerSecond: number): string {
  const mega = bytesPerSecond / 1e6;
  return mega >= 0.1 || bytesPerSecond === 0
    ? `${threeDigits(mega)} MB/s`
    : `${threeDigits(bytesPerSecond / 1e3)} kB/s`;
}

/** `0.21 ms`, `4.8 ms`, `124 ms`. */
export function formatLatency(ms: number): string {
  return `${ms < 1 ? ms.toFixed(2) : threeDigits(ms)} ms`;
}

/** `1.7 s`. */
export function formatSeconds(ms: number): string {
  return `${threeDigits(ms / 1_000)} s`;
}

/** The time of day, as people here write it. */
export function formatTime(unixMs: number): string {
  return new Date(unixMs).toLocaleTimeString();
}

/** An id as people tell it from others. */
export function shortId(id: string): string {
  return id.slice(0, 10);
}

function threeDigits(value: number): string {
  const digits = value >= 100 || Number.isInteger(value) ? 0 : value >= 10 ? 1 : 2;
  return value.toFixed(digits).replace(/(\.\d)0$/, "$1");
}

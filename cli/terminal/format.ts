/** Numbers as people read them. */

/** @example count(2000) // '2,000' */
export function count(value: number | bigint): string {
  return value.toLocaleString('en-US');
}

/** @example percent(0.9125) // '91.25%' */
export function percent(share: number | null): string {
  return share === null ? '' : `${(100 * share).toFixed(2)}%`;
}

export function loss(value: number | null): string {
  return value === null ? '' : value.toFixed(4);
}

/** @example seconds(75) // '1 min 15 s' */
export function seconds(value: number | null): string {
  if (value === null) return '';
  if (value >= 60) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
  return `${value.toFixed(value < 10 ? 1 : 0)} s`;
}

/** @example bytes(24_112) // '24.1 kB' */
export function bytes(value: number | null): string {
  if (value === null) return '';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let scaled = value;
  while (scaled >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? scaled : scaled.toFixed(1)} ${units[unit] ?? ''}`;
}

/**
 * A token amount for people, rounded to six decimals; whoever reckons with it reads the JSON.
 * @param amount in the smallest unit
 * @example tokens(1_500_000_000_000_000_000n) // '1.5'
 */
export function tokens(amount: bigint | string, decimals = 18): string {
  const millionth = 10n ** BigInt(decimals - 6);
  const millionths = (BigInt(amount) + millionth / 2n) / millionth;
  const rest = (millionths % 1_000_000n).toString().padStart(6, '0').replace(/0+$/, '');
  return count(millionths / 1_000_000n) + (rest === '' ? '' : `.${rest}`);
}

/** How long ago a time was. @example age('2026-11-22T18:00:00Z', now) // '12 s ago' */
export function age(time: string, now: number): string {
  const passed = Math.max(0, (now - Date.parse(time)) / 1000);
  if (passed < 60) return `${Math.floor(passed)} s ago`;
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 48 * 3600) return `${Math.floor(passed / 3600)} h ago`;
  return `${Math.floor(passed / 86_400)} days ago`;
}

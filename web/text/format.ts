/** Numbers and times as people read them, in the visitor's own conventions. */
const whole = new Intl.NumberFormat();
const share = new Intl.NumberFormat(undefined, {
  style: 'percent',
  maximumFractionDigits: 2,
  minimumFractionDigits: 2,
});
const fine = new Intl.NumberFormat(undefined, { maximumFractionDigits: 4, minimumFractionDigits: 4 });
const tenth = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

export const none = '–';
export const count = (value: number | null): string => (value === null ? none : whole.format(value));
export const percent = (value: number | null): string => (value === null ? none : share.format(value));
export const loss = (value: number | null): string => (value === null ? none : fine.format(value));
export const moment = (iso: string): string => clock.format(new Date(iso));

/** @example points(0.0123) // '+1.23 points' */
export function points(change: number | null): string {
  if (change === null) return none;
  return `${change < 0 ? '−' : '+'}${(Math.abs(change) * 100).toFixed(2)} points`;
}

/** @example seconds(75) // '1 min 15 s' */
export function seconds(value: number | null): string {
  if (value === null) return none;
  if (value >= 3600) return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
  if (value >= 60) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return `${tenth.format(value)} s`;
}

export function bytes(value: number | null): string {
  if (value === null) return none;
  if (value < 1000) return `${value} B`;
  return value < 1e6 ? `${tenth.format(value / 1e3)} kB` : `${tenth.format(value / 1e6)} MB`;
}

/** @example age(12_400) // '12 s ago' */
export function age(ms: number): string {
  const passed = Math.max(0, Math.floor(ms / 1000));
  if (passed < 60) return `${passed} s ago`;
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 172_800) return `${Math.floor(passed / 3600)} h ago`;
  return `${Math.floor(passed / 86_400)} days ago`;
}

/** A token amount, cut (not rounded up) to so many digits after the point. @param amount in the smallest unit */
export function tokens(amount: string, decimals = 18, digits = 4): string {
  const unit = 10n ** BigInt(decimals);
  const all = BigInt(amount);
  const rest = (all % unit).toString().padStart(decimals, '0').slice(0, digits).replace(/0+$/, '');
  return whole.format(all / unit) + (rest === '' ? '' : `.${rest}`);
}

/** The ends of a hash or address; the whole is in the title and is what gets copied. */
export const short = (hash: string, head = 8): string =>
  hash.length <= head + 7 ? hash : `${hash.slice(0, head)}…${hash.slice(-4)}`;

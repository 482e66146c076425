import { formatUnits } from 'ethers';
import type { Earning } from '#audit/earnings.js';
import type { Hex } from '#core/hex.js';

/** Columns of `rewards export`, in their order. docs/payments.md says what each means. */
const columns = [
  'date',
  'state',
  'epoch',
  'job',
  'round',
  'runner',
  'units',
  'amount',
  'tokens',
  'token',
  'transaction',
  'block',
  'chain_id',
] as const;

/** RFC 4180: a header, CRLF after every line, quotes where a field needs them. */
export function earningsCsv(
  lines: readonly Earning[],
  of: { chainId: number; token: Hex; decimals: number },
): string {
  const rows = lines.map((line): Record<(typeof columns)[number], string> => ({
    date: new Date(line.at * 1000).toISOString(),
    state: line.state,
    epoch: line.epoch === null ? '' : String(line.epoch),
    job: line.job,
    round: String(line.round),
    runner: line.account,
    units: String(line.units),
    amount: String(line.amount),
    tokens: formatUnits(line.amount, of.decimals),
    token: of.token,
    transaction: line.transaction,
    block: String(line.block),
    chain_id: String(of.chainId),
  }));
  const records = [[...columns], ...rows.map((row) => columns.map((column) => row[column]))];
  return records.map((fields) => `${fields.map(csvField).join(',')}\r\n`).join('');
}

/**
 * A field that spreadsheets show and do not execute: what begins like a formula gets an apostrophe in front
 * (owasp.org/www-community/attacks/CSV_Injection).
 */
export function csvField(text: string): string {
  const shown = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown;
}

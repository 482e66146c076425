import { z } from 'zod';
import { RoundtableError } from './errors.js';
import { oneLine } from './printable.js';

/** Building blocks of every message: one schema for each kind of value that crosses a border. */

const hex = (bytes: number, what: string) =>
  z
    .string()
    .regex(new RegExp(`^0x[0-9a-f]{${bytes * 2}}$`), `${what}: 0x and ${bytes * 2} lower-case hex digits`)
    .transform((value) => value as `0x${string}`);

export const hash32 = hex(32, 'a SHA-256');
export const jobId = hex(32, 'a job id');
export const versionIdSchema = hex(32, 'a version id');
/** A runner's or member's EVM address, lower case everywhere off chain. */
export const address = hex(20, 'an address');
/** Ends with 27 or 28, so that a signature has one form. */
export const signature65 = hex(65, 'a signature').refine(
  (text) => /1[bc]$/.test(text),
  'a signature ends with 27 or 28',
);
/** Of an account that may be a contract: then the contract alone knows what its bytes mean. */
export const accountSignature = z
  .string()
  .regex(/^0x(?:[0-9a-f]{2}){65,4096}$/, 'a signature: 65 to 4,096 bytes in hex')
  .transform((text) => text as `0x${string}`);
/** A 43-character base64url Arweave transaction id. */
export const archiveId = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'an Arweave id: 43 base64url characters');
/** A token amount in its smallest unit, as a decimal string (JSON has no 256-bit integers). */
export const amount = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,38})$/, 'an amount in the smallest unit, as a decimal string');
export const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
export const round = z.number().int().min(1).max(100_000);
/** Names of data contracts, triggers and runners: they become file names and URL parts. */
export const slug = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'a name of lower-case letters, digits and hyphens, at most 63');

const MOST_MISTAKES = 50;

/**
 * Parses a message from outside; every mistake is reported at once, each with its path.
 * @throws INVALID_INPUT
 */
export function parseMessage<T extends z.ZodType>(schema: T, value: unknown, what: string): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { issues } = result.error;
  // A message with a million wrong keys gets an answer that can be read, not one as long as itself.
  const mistakes = issues.slice(0, MOST_MISTAKES).map((issue) => ({
    path: oneLine(issue.path.map(String).join('.'), 200) || '(top)',
    message: oneLine(issue.message, 400),
  }));
  const lines = mistakes.map(({ path, message }) => `  ${path}: ${message}`);
  if (issues.length > mistakes.length) lines.push(`  and ${issues.length - mistakes.length} more`);
  throw new RoundtableError(
    'INVALID_INPUT',
    `${what} has ${issues.length} mistake${issues.length === 1 ? '' : 's'}:\n${lines.join('\n')}`,
    { details: { mistakes } },
  );
}

import { z } from 'zod';
import { RoundtableError } from './errors.js';

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
export const signature65 = hex(65, 'a signature');
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

/**
 * Parses a message from outside; every mistake is reported at once, each with its path.
 * @throws INVALID_INPUT
 */
export function parseMessage<T extends z.ZodType>(schema: T, value: unknown, what: string): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const mistakes = result.error.issues.map((issue) => ({
    path: issue.path.map(String).join('.') || '(top)',
    message: issue.message,
  }));
  const lines = mistakes.map(({ path, message }) => `  ${path}: ${message}`).join('\n');
  throw new RoundtableError(
    'INVALID_INPUT',
    `${what} has ${mistakes.length} mistake${mistakes.length === 1 ? '' : 's'}:\n${lines}`,
    { details: { mistakes } },
  );
}

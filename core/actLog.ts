import type { ActEntry, ActRecord } from './acts.js';
import { hashJson } from './canonicalJson.js';
import { ZERO_HASH, type Hash } from './hex.js';

/** The record of an entry behind the last one; null begins the log. @param at ISO 8601 */
export function nextActRecord(hash: Hash, last: ActRecord | null, entry: ActEntry, at: string): ActRecord {
  const fields = { seq: (last?.seq ?? 0) + 1, at, previous: last?.hash ?? ZERO_HASH, entry };
  return { ...fields, hash: hashJson(hash, fields) };
}

/**
 * Whether a log, from its first record on, is one: each record follows from the one before.
 * @returns number of the first record that does not; null when all do
 */
export function brokenActRecord(hash: Hash, records: readonly ActRecord[]): number | null {
  let last: ActRecord | null = null;
  for (const record of records) {
    const expected = nextActRecord(hash, last, record.entry, record.at);
    if (record.seq !== expected.seq || record.previous !== expected.previous || record.hash !== expected.hash)
      return expected.seq;
    last = record;
  }
  return null;
}

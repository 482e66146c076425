import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { hashJson } from '#core/canonicalJson.js';
import { ZERO_HASH, type Hex } from '#core/hex.js';
import { sha256 } from '#services/sha256.js';
import { textSigner } from '#services/signatures.js';
import {
  decisionFiles,
  decisionRecord,
  headText,
  readHead,
  type DecisionPaths,
  type DecisionRecord,
} from './decisionLog.js';

/** `broken` is the first place that does not follow from what stands before it; null: everything does. */
export interface LogVerification {
  records: number;
  broken: { file: string; line: number; reason: string } | null;
  /** Bytes of a last line that a crash cut off; the next start drops them and says so in the log. */
  torn: number;
  /** How often the log itself says that signed records were gone at a start. */
  lost: number;
}

/** Records as they stand, up to the first that is none. */
export async function readDecisions(paths: DecisionPaths): Promise<DecisionRecord[]> {
  const records: DecisionRecord[] = [];
  for (const file of await decisionFiles(paths.decisions))
    for (const line of (await readFile(file, 'utf8')).split('\n')) {
      const record = parseLine(line);
      if (record) records.push(record);
    }
  return records;
}

/** @param runner whose key must have signed for the last record */
export async function verifyDecisions(paths: DecisionPaths, runner: Hex): Promise<LogVerification> {
  let [seq, previous, torn, lost]: [number, Hex, number, number] = [0, ZERO_HASH, 0, 0];
  const hashes = new Map<number, Hex>([[0, ZERO_HASH]]);
  let [file, line] = [basename(paths.decisions), 0];
  const broken = (reason: string): LogVerification => ({
    records: seq,
    broken: { file, line, reason },
    torn,
    lost,
  });

  for (const path of await decisionFiles(paths.decisions)) {
    [file, line] = [basename(path), 0];
    const lines = (await readFile(path, 'utf8')).split('\n');
    torn = Buffer.byteLength(lines.pop() ?? '');
    if (torn > 0 && path !== paths.decisions) return broken('its last line is cut off');
    for (const text of lines) {
      line += 1;
      const record = parseLine(text);
      if (!record) return broken('it is not a record');
      const { hash, ...fields } = record;
      if (hashJson(sha256, fields) !== hash) return broken('its fields do not have the hash beside them');
      if (record.seq !== seq + 1) return broken(`its number is ${record.seq} where ${seq + 1} must follow`);
      if (record.previous !== previous) return broken('it does not name the hash of the record before');
      [seq, previous] = [record.seq, hash];
      hashes.set(seq, hash);
      if (record.kind === 'lost') lost += 1;
    }
  }

  const head = await readHead(paths.decisionsHead);
  file = basename(paths.decisionsHead);
  line = 1;
  if (!head) return seq === 0 ? { records: 0, broken: null, torn, lost } : broken('it is missing or damaged');
  if (textSigner(headText(head.seq, head.hash), head.signature) !== runner)
    return broken(`it was not signed by ${runner}`);
  if (head.seq > seq) return broken(`it was signed for ${head.seq} records, and ${seq} are there`);
  if (hashes.get(head.seq) !== head.hash) return broken(`it was signed for another record ${head.seq}`);
  // A crash may come between a record and its signature, once.
  if (head.seq < seq - 1) return broken(`it was signed for ${head.seq} records only, and ${seq} are there`);
  return { records: seq, broken: null, torn, lost };
}

function parseLine(text: string): DecisionRecord | null {
  try {
    return decisionRecord.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

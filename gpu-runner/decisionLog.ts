import { open, readdir, readFile, rename, stat, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { canonicalJson, hashJson } from '#core/canonicalJson.js';
import { ZERO_HASH, type Hex, type Sha256Hex } from '#core/hex.js';
import { count, hash32, signature65 } from '#core/schema.js';
import { sha256 } from '#services/sha256.js';
import { errorNumber } from './failures.js';
import { diskError, writeDurably } from './files.js';
import type { RunnerKey } from './runnerKey.js';

/** What the runner decided, or what happened to its log. */
export type Decision =
  | { kind: 'started'; software: string }
  | { kind: 'enrolled'; coordinator: Hex; member: Hex; fingerprint: Hex; until: string; data: string[] }
  | { kind: 'revoked'; coordinator: Hex; fingerprints: Hex[] }
  | { kind: 'allowed'; coordinator: Hex; job: Hex; name: string; round: number; data: string; rule: number }
  /** The round's update was uploaded; sent again, it is noted again. */
  | {
      kind: 'sent';
      coordinator: Hex;
      job: Hex;
      name: string;
      round: number;
      updateRoot: Hex;
      samples: number;
      bytes: number;
    }
  /** The round's update was sealed; asked again, the seal is noted again. */
  | { kind: 'sealed'; coordinator: Hex; job: Hex; name: string; round: number; seal: Hex }
  /** What was sealed was demanded on chain, and opened there. */
  | { kind: 'opened'; job: Hex; round: number; seal: Hex; transaction: Hex }
  /** The coordinator has signed that it will add the update. */
  | { kind: 'receipt'; coordinator: Hex; job: Hex; round: number; updateRoot: Hex; signature: Hex }
  /** What came of a receipt: see receiptBook.ts. `transaction`: what this runner sent for it last. */
  | { kind: 'claim'; coordinator: Hex; job: Hex; round: number; outcome: string; transaction: Hex | null }
  | {
      kind: 'refused';
      coordinator: Hex;
      job: Hex | null;
      name: string | null;
      round: number | null;
      code: string;
      reason: string;
    }
  /** A crash had cut the last line, so many bytes of it were dropped. */
  | { kind: 'repaired'; bytes: number }
  /** The runner had signed for records up to this one, and they were not there when it started. */
  | { kind: 'lost'; signedSeq: number; signedHash: Hex };

/** A line of the log: `hash` is the SHA-256 of the canonical JSON of all other members. */
export const decisionRecord = z.looseObject({
  seq: count,
  time: z.iso.datetime(),
  previous: hash32,
  kind: z.string(),
  hash: hash32,
});
export type DecisionRecord = z.output<typeof decisionRecord>;

export const decisionHead = z.strictObject({ seq: count, hash: hash32, signature: signature65 });

export interface DecisionPaths {
  decisions: string;
  decisionsHead: string;
}

/** What the runner signs after each record, so that a log cut off at its end does not pass for a whole one. */
export const headText = (seq: number, hash: Hex): string =>
  `Roundtable decision log, version 1\n${seq}\n${hash}`;

/** A file is closed and a new one begun past so many bytes. */
const FILE_LIMIT = 8 * 1024 * 1024;

/** The hash-chained log of one home. Only the process that holds the home's lock writes it. */
export class DecisionLog {
  readonly #paths: DecisionPaths;
  readonly #key: Pick<RunnerKey, 'signText'>;
  readonly #limit: number;
  #seq: number;
  #last: Sha256Hex;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(
    paths: DecisionPaths,
    key: Pick<RunnerKey, 'signText'>,
    limit: number,
    last: { seq: number; hash: Sha256Hex },
  ) {
    this.#paths = paths;
    this.#key = key;
    this.#limit = limit;
    this.#seq = last.seq;
    this.#last = last.hash;
  }

  /** Goes on behind the last whole line. What a crash or somebody else took away becomes a record of its own. */
  static async open(
    paths: DecisionPaths,
    key: Pick<RunnerKey, 'signText'>,
    limit = FILE_LIMIT,
  ): Promise<DecisionLog> {
    const dropped = await dropTornLine(paths.decisions);
    const last = (await lastRecord(paths)) ?? { seq: 0, hash: ZERO_HASH };
    const head = await readHead(paths.decisionsHead);
    const log = new DecisionLog(paths, key, limit, last);
    if (dropped > 0) await log.append({ kind: 'repaired', bytes: dropped });
    if (head && head.seq > last.seq)
      await log.append({ kind: 'lost', signedSeq: head.seq, signedHash: head.hash });
    return log;
  }

  /** Resolves when the record is on the disk. @throws DISK_FULL */
  append(decision: Decision): Promise<void> {
    const done = this.#turn.then(() => this.#write(decision));
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #write(decision: Decision): Promise<void> {
    const fields = {
      seq: this.#seq + 1,
      time: new Date().toISOString(),
      previous: this.#last,
      ...decision,
    };
    const hash = hashJson(sha256, fields);
    await appendDurably(this.#paths.decisions, `${canonicalJson({ ...fields, hash })}\n`);
    this.#seq = fields.seq;
    this.#last = hash;
    const signature = this.#key.signText(headText(fields.seq, hash));
    await writeDurably(
      this.#paths.decisionsHead,
      JSON.stringify({ seq: fields.seq, hash, signature }),
      0o600,
    );
    const { size } = await stat(this.#paths.decisions);
    if (size > this.#limit)
      await rename(this.#paths.decisions, closedPath(this.#paths.decisions, fields.seq));
  }
}

/** All files of a log in their order, the one that is written now last; those that are not there are left out. */
export async function decisionFiles(path: string): Promise<string[]> {
  const folder = dirname(path);
  const names = await readdir(folder).catch((error: unknown) => {
    if (errorNumber(error) === 'ENOENT') return [];
    throw error;
  });
  const closed = names.filter((name) => /^decisions-\d{12}\.log$/.test(name)).sort();
  const files = closed.map((name) => join(folder, name));
  return (await sizeOf(path)) === null ? files : [...files, path];
}

export async function readHead(path: string): Promise<z.output<typeof decisionHead> | null> {
  try {
    return decisionHead.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return null;
  }
}

const closedPath = (path: string, seq: number): string =>
  join(dirname(path), `decisions-${String(seq).padStart(12, '0')}.log`);

async function lastRecord({ decisions }: DecisionPaths): Promise<{ seq: number; hash: Sha256Hex } | null> {
  const files = await decisionFiles(decisions);
  for (let at = files.length - 1; at >= 0; at--) {
    const file = files[at] ?? decisions;
    const line = (await readFile(file, 'utf8')).trimEnd().split('\n').at(-1) ?? '';
    if (line === '') continue;
    // A damaged line breaks the chain for whoever verifies it; the log goes on all the same.
    const record = decisionRecord.safeParse(jsonOrNull(line)).data;
    return record ?? { seq: 0, hash: ZERO_HASH };
  }
  return null;
}

/** @returns bytes after the last line feed, which are gone now */
async function dropTornLine(path: string): Promise<number> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if (errorNumber(error) === 'ENOENT') return Buffer.alloc(0);
    throw error;
  });
  const whole = bytes.lastIndexOf(10) + 1;
  if (whole < bytes.length) await truncate(path, whole);
  return bytes.length - whole;
}

async function appendDurably(path: string, text: string): Promise<void> {
  const before = await sizeOf(path);
  try {
    const file = await open(path, 'a', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    // Half a line of a full disk would stand before the next whole one.
    if (before !== null) await truncate(path, before).catch(() => undefined);
    throw diskError(error, path);
  }
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errorNumber(error) === 'ENOENT') return null;
    throw error;
  }
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

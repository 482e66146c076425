import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import type { JobId, Sha256Hex } from '#core/hex.js';
import { trainAnswer, type TrainUpdate } from '#core/messages.js';
import { hash32 } from '#core/schema.js';
import { sha256Hex } from '#services/sha256.js';
import { errorNumber } from './failures.js';
import { writeDurably } from './files.js';
import { SealedWork } from './sealedWork.js';
import { readSignedFile } from './signedFile.js';
import type { UploadMemo } from './upload.js';

/** What the runner signed for one round of one job. Its file is the only thing that lets a signature leave. */
const signedRecord = z.strictObject({
  openHash: hash32,
  answer: trainAnswer.options[0],
});
export type SignedRecord = z.output<typeof signedRecord>;

/** At least so many update files are kept; what was signed is kept for good, at 1 kB a round. */
const KEPT_UPDATES = 8;
/** No round waits longer (core/jobSpec.ts, deadlineSeconds). */
const LONGEST_ROUND_MS = 604_800_000;

/**
 * work/JOB/ROUND: the update as it was sealed, and the answer with its signature. Both are on the disk before
 * anything is sent, and no second answer is ever written for a round (PROTOCOL section 2).
 */
export class SignedWork {
  /** Of rounds whose runners seal first. */
  readonly seals: SealedWork;
  readonly #folder: string;
  /** The update files that are there, oldest first; read once, then kept. */
  #updates: StoredUpdate[] | null = null;

  constructor(folder: string) {
    this.#folder = folder;
    this.seals = new SealedWork(folder);
  }

  /** The round's folder, created; training puts its files there too. */
  async open(job: JobId, round: number): Promise<string> {
    const folder = this.#path(job, round);
    await mkdir(folder, { recursive: true });
    return folder;
  }

  /** @throws FORMAT_INVALID when the record is damaged: rather no update than two */
  find(job: JobId, round: number): Promise<SignedRecord | null> {
    return readSignedFile(join(this.#path(job, round), 'answer.json'), signedRecord);
  }

  /**
   * Keeps an update and its answer. When the same was signed before, the answer stays but for the file it names:
   * sealing made anew gives other bytes.
   * @returns the answer that stands
   * @throws CONFLICT if another answer is there
   */
  async keep(job: JobId, round: number, record: SignedRecord, update: Uint8Array): Promise<TrainUpdate> {
    const before = await this.#standing(job, round, record);
    await this.keepUpdate(job, round, update);
    return this.#write(job, round, record, before);
  }

  /** Keeps an update before anything of it is signed, as it is sealed for its readers. */
  async keepUpdate(job: JobId, round: number, update: Uint8Array): Promise<void> {
    const path = join(await this.open(job, round), 'update.bin');
    await writeDurably(path, update);
    const stored = { path, job: job.slice(2), round, time: Date.now() };
    if (this.#updates) this.#updates = [...this.#updates.filter((other) => other.path !== path), stored];
  }

  /** Keeps the answer for an update that is kept. @returns and throws as keep */
  async sign(job: JobId, round: number, record: SignedRecord): Promise<TrainUpdate> {
    return this.#write(job, round, record, await this.#standing(job, round, record));
  }

  /** Which upload of a file was begun, for whoever goes on with it after a kill. */
  memo(job: JobId, round: number, file: Sha256Hex): UploadMemo {
    const path = join(this.#path(job, round), 'upload');
    return {
      read: async () => {
        const [of, id] = (await readFile(path, 'utf8').catch(() => '')).split('\n');
        return of === file && id !== undefined && id !== '' ? id : null;
      },
      write: (id) => writeDurably(path, `${file}\n${id}\n`),
    };
  }

  /** The sealed update of a kept answer; null when its file is gone or damaged and must be made again. */
  async update(job: JobId, round: number, answer: Pick<TrainUpdate, 'file'>): Promise<Uint8Array | null> {
    try {
      const bytes = await readFile(join(this.#path(job, round), 'update.bin'));
      return sha256Hex(bytes) === answer.file ? bytes : null;
    } catch (error) {
      if (errorNumber(error) === 'ENOENT') return null;
      throw error;
    }
  }

  /**
   * Removes old update files, never an answer. That of a round which may still ask for it stays: with `determinism:
   * fast` it could not be made again, and nothing else may be sent for what was signed. A round has ended when a later one
   * of its job was signed, or after the longest time that a round takes.
   */
  async trim(): Promise<void> {
    const all = (this.#updates ??= await this.#findUpdates());
    const latest = new Map<string, number>();
    for (const { job, round } of all) latest.set(job, Math.max(round, latest.get(job) ?? 0));
    const ended = ({ job, round, time }: StoredUpdate) =>
      round < (latest.get(job) ?? 0) || Date.now() - time > LONGEST_ROUND_MS;
    const removed = new Set(all.slice(0, -KEPT_UPDATES).filter(ended));
    for (const { path } of removed) await rm(path, { force: true });
    this.#updates = this.#updates.filter((update) => !removed.has(update));
  }

  /** @throws CONFLICT if another answer is there */
  async #standing(job: JobId, round: number, record: SignedRecord): Promise<SignedRecord | null> {
    const before = await this.find(job, round);
    if (before && !sameStatement(before, record))
      throw new RoundtableError(
        'CONFLICT',
        `Round ${round} of job ${job} was signed with another update; training has not repeated to the bit.`,
      );
    return before;
  }

  /** @param before what was signed, if anything was: it stays but for the file */
  async #write(
    job: JobId,
    round: number,
    record: SignedRecord,
    before: SignedRecord | null,
  ): Promise<TrainUpdate> {
    const { file, bytes } = record.answer;
    if (before?.answer.file === file) return before.answer;
    const kept = before ? { ...before, answer: { ...before.answer, file, bytes } } : record;
    await writeDurably(join(await this.open(job, round), 'answer.json'), JSON.stringify(kept, null, 2));
    return kept.answer;
  }

  async #findUpdates(): Promise<StoredUpdate[]> {
    const updates: StoredUpdate[] = [];
    for (const job of await readdir(this.#folder)) {
      for (const round of await readdir(join(this.#folder, job))) {
        const path = join(this.#folder, job, round, 'update.bin');
        const time = await stat(path).then(
          ({ mtimeMs }) => mtimeMs,
          () => null,
        );
        if (time !== null) updates.push({ path, job, round: Number(round), time });
      }
    }
    return updates.sort((a, b) => a.time - b.time);
  }

  #path(job: JobId, round: number): string {
    return join(this.#folder, job.slice(2), String(round));
  }
}

/** An update file: the names of its folders, and when it was written. */
interface StoredUpdate {
  readonly path: string;
  readonly job: string;
  readonly round: number;
  readonly time: number;
}

function sameStatement(a: SignedRecord, b: SignedRecord): boolean {
  const hash = (record: SignedRecord): Sha256Hex => record.answer.updateRoot;
  return a.openHash === b.openHash && hash(a) === hash(b) && a.answer.signature === b.answer.signature;
}

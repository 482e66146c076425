import { access, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import type { JobId } from '#core/hex.js';
import { trainAnswer } from '#core/messages.js';
import { sealList } from '#core/seal.js';
import { address, hash32, signature65 } from '#core/schema.js';
import { writeDurably } from './files.js';
import { readSignedFile } from './signedFile.js';

/** What the runner sealed for one round of one job, and what opens the seal: with its loss the stake is lost. */
const sealRecord = z.strictObject({
  openHash: hash32,
  salt: hash32,
  seal: hash32,
  signature: signature65,
  /** The answer that the round gets when it asks for the update, but for its signature. */
  update: trainAnswer.options[0].omit({ signature: true, salt: true }),
});
export type SealRecord = z.output<typeof sealRecord>;

/** The seals for which the runner revealed its update, as the coordinator signed them: another list is evidence. */
const listRecord = z.strictObject({
  coordinator: address,
  openHash: hash32,
  list: hash32,
  signature: signature65,
  seals: sealList,
});
export type ListRecord = z.output<typeof listRecord>;

/** Beside the update in work/JOB/ROUND: its seal, and the round's list. Both are kept for good. */
export class SealedWork {
  readonly #folder: string;
  /** Looked for once: nobody else seals here, and nothing is removed. */
  #used: boolean | null = null;

  /** @param folder the runner's work */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Whether anything was ever sealed here. */
  async isUsed(): Promise<boolean> {
    return (this.#used ??= await this.#findAny());
  }

  /** @throws FORMAT_INVALID when the record is damaged: rather no seal than two */
  find(job: JobId, round: number): Promise<SealRecord | null> {
    return readSignedFile(join(this.#folderOf(job, round), 'seal.json'), sealRecord);
  }

  /**
   * Keeps a seal, before it leaves. Sealed before, a round's seal stays; the file that holds the update may be another.
   * @throws CONFLICT if another seal is there
   */
  async keep(job: JobId, round: number, record: SealRecord): Promise<SealRecord> {
    const before = await this.find(job, round);
    if (before && (before.seal !== record.seal || before.openHash !== record.openHash))
      throw new RoundtableError(
        'CONFLICT',
        `Round ${round} of job ${job} was sealed with another update; training has not repeated to the bit.`,
      );
    const { file, bytes } = record.update;
    const kept = before ? { ...before, update: { ...before.update, file, bytes } } : record;
    await this.#write(job, round, 'seal.json', kept);
    this.#used = true;
    return kept;
  }

  /**
   * Keeps the list that the runner is about to reveal its update for. Another one than before is kept too, under its hash.
   * @returns whether the list is the only one that was ever shown
   */
  async keepList(job: JobId, round: number, list: ListRecord): Promise<boolean> {
    const before = await readSignedFile(join(this.#folderOf(job, round), 'seals.json'), listRecord);
    if (before?.list === list.list) return true;
    await this.#write(job, round, before ? `seals-${list.list.slice(2)}.json` : 'seals.json', list);
    return before === null;
  }

  async #findAny(): Promise<boolean> {
    for (const job of await readdir(this.#folder))
      for (const round of await readdir(join(this.#folder, job)))
        if (await isThere(join(this.#folder, job, round, 'seal.json'))) return true;
    return false;
  }

  #folderOf(job: JobId, round: number): string {
    return join(this.#folder, job.slice(2), String(round));
  }

  async #write(job: JobId, round: number, name: string, record: object): Promise<void> {
    const folder = this.#folderOf(job, round);
    await mkdir(folder, { recursive: true });
    await writeDurably(join(folder, name), JSON.stringify(record, null, 2));
  }
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

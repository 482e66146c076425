import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { roundOpening, selectionPlace } from '#core/messages.js';
import { address, count, hash32, parseMessage, signature65 } from '#core/schema.js';
import { messageOf } from './failures.js';
import { writeDurably } from './files.js';

/**
 * An update that was answered with, and the coordinator's receipt for it. `opening` and `place` are those of the task: with
 * them the runner shows on chain that it was selected.
 */
const heldReceipt = z.strictObject({
  coordinator: address,
  runner: address,
  opening: roundOpening,
  place: selectionPlace,
  updateRoot: hash32,
  /** Milliseconds since 1970. */
  sentAt: count,
  /** When nothing is to be expected any more: the round has settled by then which updates it has. */
  expectedUntil: count,
  /** Of the coordinator; null until it is there. */
  signature: signature65.nullable(),
  /** The chain's words of the round's opening and of the closing before it; null until they were read. */
  words: z.strictObject({ opening: hash32, previous: hash32 }).nullable(),
  /** The question that was asked on chain about an update that was left out. */
  question: hash32.nullable(),
});
export type HeldReceipt = z.output<typeof heldReceipt>;

/**
 * How a receipt ended. none: the coordinator signed none. kept: its owner has nothing claimed. included: the update is in
 * the closed round. answered: the coordinator had an answer on chain. convicted: it had none, and its bond is slashed.
 * paid: the fee of a round that died. over: the round can be disputed no more. void: a conviction or a take-over has made
 * the round void. refused: the contract refused the claim.
 */
export type ReceiptOutcome =
  'none' | 'kept' | 'included' | 'answered' | 'convicted' | 'paid' | 'over' | 'void' | 'refused';

/** After its deadline a round waits for its opening on chain, and for a worker that may be away. */
const SETTLING_SECONDS = 6 * 3_600;

/**
 * receipts/JOB-ROUND.json, on the disk before the update's answer leaves the machine. What has ended lies in
 * receipts/ended with its outcome, for good, at 2 kB a round.
 */
export class ReceiptBook {
  readonly #folder: string;
  readonly #open = new Map<string, HeldReceipt>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param complain is told of files that are damaged; they stay as they are */
  static async open(folder: string, complain: (mistake: string) => void): Promise<ReceiptBook> {
    const book = new ReceiptBook(folder);
    await mkdir(join(folder, 'ended'), { recursive: true });
    for (const name of await readdir(folder)) {
      if (!name.endsWith('.json')) continue;
      const path = join(folder, name);
      try {
        const held = parseMessage(heldReceipt, JSON.parse(await readFile(path, 'utf8')), path);
        book.#open.set(nameOf(held), held);
      } catch (error) {
        complain(`A receipt cannot be read, and nothing will be claimed with it. ${messageOf(error)}`);
      }
    }
    return book;
  }

  /** All that have not ended, oldest first. */
  all(): HeldReceipt[] {
    return [...this.#open.values()].sort((a, b) => a.sentAt - b.sentAt);
  }

  /** An answer is about to leave. Sent again, what is known of its receipt stays. */
  async expect(
    sent: Pick<HeldReceipt, 'coordinator' | 'runner' | 'opening' | 'place' | 'updateRoot'>,
    deadlineSeconds: number,
  ): Promise<void> {
    if (this.#open.has(nameOf(sent)) || (await this.#hasEnded(sent))) return;
    const sentAt = Date.now();
    const expectedUntil = Math.ceil(sentAt + 1_000 * (deadlineSeconds + SETTLING_SECONDS));
    await this.write({ ...sent, sentAt, expectedUntil, signature: null, words: null, question: null });
  }

  async write(held: HeldReceipt): Promise<void> {
    await writeDurably(this.#path(held), JSON.stringify(held));
    this.#open.set(nameOf(held), held);
  }

  async end(held: HeldReceipt, outcome: ReceiptOutcome): Promise<void> {
    const path = this.#path(held);
    const ended = join(this.#folder, 'ended', `${nameOf(held)}.json`);
    await writeDurably(ended, JSON.stringify({ ...held, outcome }));
    await rm(path, { force: true });
    this.#open.delete(nameOf(held));
  }

  async #hasEnded(held: Named): Promise<boolean> {
    return readFile(join(this.#folder, 'ended', `${nameOf(held)}.json`)).then(
      () => true,
      () => false,
    );
  }

  #path(held: Named): string {
    return join(this.#folder, `${nameOf(held)}.json`);
  }
}

type Named = Pick<HeldReceipt, 'opening'>;

const nameOf = ({ opening: { job, round } }: Named): string => `${job.slice(2)}-${round}`;

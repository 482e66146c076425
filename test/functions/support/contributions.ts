import { setTimeout as pause } from 'node:timers/promises';
import type { Hex } from '#core/hex.js';
import { visibilityOf } from '#local/events/config.js';
import { openQueue } from '#services/queue.js';
import { finishRound } from '#workflows/activities/finish.js';
import { matchCredits } from '#workflows/activities/settle.js';
import { until } from '#test/support/until.js';
import { addressOf, exampleModel, exampleSpec, hashOf } from '#test/services/views.js';
import { fakePrepared } from '#test/workflows/fakes.js';
import { limits, type FaultyStack } from './faultyStack.js';
import { poisonedJob } from './poison.js';

const runnersOfRound = 10;

/** What runners have contributed to rounds, and what of it is credited. */
export class Contributions {
  readonly #rounds: {
    job: Hex;
    round: number;
    shares: ReturnType<typeof sharesOf>;
    manifestHash: Hex;
    manifest: string;
  }[] = [];

  constructor(private readonly parts: FaultyStack) {}

  get count(): number {
    return this.#rounds.length * runnersOfRound;
  }

  /** What the worker does at the end of a round; every tenth round twice, as after a crash. */
  async give(number: number): Promise<void> {
    const { stack, table, sqs, urls } = this.parts;
    const job = hashOf(`job of round ${number}`);
    const shares = sharesOf(number);
    const manifestHash = hashOf(`round ${number}`);
    const { coordinator } = stack.file;
    const credits = openQueue({ url: urls.credits, client: sqs });
    const finish = () =>
      finishRound({ coordinator, table, credits } as unknown as Parameters<typeof finishRound>[0], {
        prepared: fakePrepared(job, exampleSpec()),
        round: 1,
        base: exampleModel('base'),
        version: exampleModel(String(number)),
        accuracy: 0.9,
        archive: { model: 'm'.repeat(43), manifest: 'n'.repeat(43), manifestHash },
        shares,
      });
    for (let times = number % 10 === 0 ? 2 : 1; times > 0; times--) await untilTaken(finish);
    this.#rounds.push({ job, round: 1, shares, manifestHash, manifest: 'm'.repeat(43) });
  }

  /** As settlement does it: what is missing is rung for again, until nothing is. All shares and credits, sorted. */
  async untilCredited(patience: number): Promise<Record<'expected' | 'credited', string[]>> {
    const { table, stack, urls, sqs } = this.parts;
    const payer = stack.file.coordinator;
    const credits = openQueue({ url: urls.credits, client: sqs });
    let before = -1;
    const credited = async () => {
      // What is on its way is not rung for: only when nothing has come for longer than a message stays hidden.
      const now = (await table.listCredits(payer)).length;
      if (now < this.count && now !== before) {
        before = now;
        await pause(1_000 * (visibilityOf({ timeoutSeconds: limits.reward }) + 1));
        return false;
      }
      const left = await matchCredits({ table, credits }, payer, this.#rounds).catch((error: Error) => error);
      if (left && !left.message.includes('rung again')) throw left;
      if (left) await pause(1_000);
      return !left;
    };
    await until(credited, 'everything is credited', patience);
    const all = await table.listCredits(payer);
    return {
      expected: this.#rounds
        .flatMap(({ job, round, shares }) => shares.map((share) => line({ job, round, ...share })))
        .sort(),
      credited: all
        .filter(({ job }) => job !== poisonedJob)
        .map(line)
        .sort(),
    };
  }
}

/** As an activity is repeated: until it succeeds. */
export async function untilTaken(work: () => Promise<void>): Promise<void> {
  const taken = () =>
    work().then(
      () => true,
      () => false,
    );
  await until(taken, 'the queue takes it', 60);
}

function sharesOf(number: number): { runner: Hex; units: string; amount: string }[] {
  return Array.from({ length: runnersOfRound }, (_, index) => ({
    runner: addressOf(`runner ${index}`),
    units: String(1 + index),
    amount: String(100 * number + index),
  }));
}

const line = (of: { job: Hex; round: number; runner: Hex; amount: string }) =>
  `${of.job}/${of.round}/${of.runner}: ${of.amount}`;

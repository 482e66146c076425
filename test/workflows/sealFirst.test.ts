import { describe, expect, test } from '@jest/globals';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { id, Wallet } from 'ethers';
import { isRoundtableError } from '#core/errors.js';
import { roundWorkflowId, signalNames } from '#core/names.js';
import type { RevealTask, TrainAnswer } from '#core/messages.js';
import { admitSeal, checkSealed } from '#workflows/activities/seals.js';
import type { ArchiveRoundInput } from '#workflows/types.js';
import { saltOf, sealedBy } from '../support/seals.js';
import { until } from '../support/until.js';
import {
  answering,
  fakeSpec,
  fakeStack,
  hash,
  runnerAddress,
  sealing,
  silent,
  type FakeRunner,
} from './fakes.js';
import { finish, last, lastOfRound, start, temporal } from './running.js';

const [first, second, third] = [runnerAddress(1), runnerAddress(2), runnerAddress(3)];
const job = (byte: string): `0x${string}` => `0x${byte.repeat(32)}`;
const sealSpec = (change: Parameters<typeof fakeSpec>[0] = {}) => ({
  ...fakeSpec({ rounds: 1, ...change }),
  sealFirst: true as const,
});

const lower = ({ address }: Wallet) => address.toLowerCase() as `0x${string}`;

/** As the worker's interceptor does it. */
function asFailure(check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!isRoundtableError(error)) throw error;
    throw ApplicationFailure.nonRetryable(error.message, error.code);
  }
}

describe('a round whose runners seal first', () => {
  test('asks for every seal, signs their list, and only then has anything revealed', async () => {
    const tasks: RevealTask[] = [];
    const archived: ArchiveRoundInput[] = [];
    const stack = await fakeStack(temporal(), {
      spec: sealSpec({ quorum: 'all' }),
      runners: { [first]: sealing(1), [second]: sealing(400) },
      revealing: Object.fromEntries(
        [first, second].map((runner) => [
          runner,
          async (task) => {
            stack.seen.calls.push(`reveal by ${runner}`);
            tasks.push(task);
            return answering(1)(task);
          },
        ]),
      ),
      override: {
        admitSeal: async ({ seal }) => void stack.seen.calls.push(`seal of ${seal.runner}`),
        admitUpdate: async ({ seal }) => void stack.seen.calls.push(`update under ${seal}`),
        archiveRound: async (input) => {
          archived.push(input);
          return {
            archive: { model: 'm'.repeat(43), manifest: 'n'.repeat(43), manifestHash: hash('6') },
            shares: [],
          };
        },
      },
    });
    await stack.run(() => finish(job('51')));
    const calls = stack.seen.calls.filter((call) => /seal|reveal/.test(call));
    expect(calls.slice(0, 3)).toEqual([`seal of ${first}`, `seal of ${second}`, 'seals 1 of 2']);
    expect(calls.slice(3).sort()).toEqual([`reveal by ${first}`, `reveal by ${second}`]);
    expect(stack.seen.calls.filter((call) => call === `update under ${hash('d')}`)).toHaveLength(2);
    for (const task of tasks) expect(task.seals.list).toBe(hash('c'));
    expect(archived[0]?.seals).toEqual(tasks[0]?.seals);
    expect(lastOfRound(stack.seen.rounds, 1)).toMatchObject({ phase: 'done', missing: [] });
  });

  test('goes on without a runner that sealed and vanished, and says so', async () => {
    const stack = await fakeStack(temporal(), {
      spec: sealSpec({ quorum: 2, graceFactor: 3 }),
      runners: { [first]: sealing(200), [second]: sealing(200), [third]: sealing(1) },
      revealing: { [third]: silent },
    });
    const began = Date.now();
    await stack.run(() => finish(job('52')));
    expect(Date.now() - began).toBeLessThan(12_000);
    const { missing, participants } = lastOfRound(stack.seen.rounds, 1);
    expect(missing).toEqual([
      {
        runner: third,
        code: 'late',
        reason: expect.stringMatching(/^sealed an update, and then: no update/),
      },
    ]);
    expect(participants.map(({ state }) => state)).toEqual(['done', 'done', 'missing']);
  });

  test('gives whoever sealed as long to reveal as it had to seal, though the others reveal at once', async () => {
    const stack = await fakeStack(temporal(), {
      spec: sealSpec({ quorum: 2, graceFactor: 4 }),
      runners: { [first]: sealing(800), [second]: sealing(800), [third]: sealing(800) },
      revealing: { [third]: answering(1_500) },
    });
    await stack.run(() => finish(job('53')));
    expect(lastOfRound(stack.seen.rounds, 1).missing).toEqual([]);
  });

  test('rejects a runner that reveals what it had not sealed, or seals as another, and goes on with the rest', async () => {
    const wallets = [1, 2, 3, 4].map((number) => new Wallet(id(`sealing runner ${number}`)));
    const [honest, alsoHonest, changing, posing] = wallets;
    if (!honest || !alsoHonest || !changing || !posing) throw new Error('no wallets');
    const [root, otherRoot] = [hash('4'), hash('a')];
    const runnerOf = (wallet: Wallet, by = wallet): FakeRunner => {
      return async (task) => {
        await Context.current().sleep(100);
        return { kind: 'sealed', ...sealedBy(wallet, task, root, by) };
      };
    };
    const revealerOf = (wallet: Wallet, updateRoot = root) => {
      return async (task: RevealTask): Promise<TrainAnswer> => {
        const update = await answering(1)(task);
        if (update.kind !== 'update') throw new Error('no update');
        return { ...update, updateRoot, salt: saltOf(wallet, task.opening.round) };
      };
    };
    const stack = await fakeStack(temporal(), {
      spec: sealSpec({ quorum: 2, graceFactor: 100 }),
      runners: {
        [lower(honest)]: runnerOf(honest),
        [lower(alsoHonest)]: runnerOf(alsoHonest),
        [lower(changing)]: runnerOf(changing),
        [lower(posing)]: runnerOf(posing, honest),
      },
      revealing: {
        [lower(honest)]: revealerOf(honest),
        [lower(alsoHonest)]: revealerOf(alsoHonest),
        [lower(changing)]: revealerOf(changing, otherRoot),
      },
      override: {
        admitSeal: async (input) => asFailure(() => admitSeal(input)),
        admitUpdate: async (input) => asFailure(() => checkSealed(input)),
      },
    });
    await stack.run(() => finish(job('54')));
    const { phase, missing, participants } = lastOfRound(stack.seen.rounds, 1);
    expect(phase).toBe('done');
    expect(participants.filter(({ state }) => state === 'done')).toHaveLength(2);
    expect(new Map(missing.map(({ runner, code, reason }) => [runner, [code, reason]]))).toEqual(
      new Map([
        [
          lower(changing),
          ['rejected', expect.stringMatching(/^sealed an update, and then: .*do not open the seal/)],
        ],
        [lower(posing), ['rejected', expect.stringContaining(`signed by ${lower(honest)}`)]],
      ]),
    );
  });

  test('asks nobody to reveal who sealed nothing, or whose seal was refused', async () => {
    const revealed: string[] = [];
    const noted = async (task: RevealTask) => {
      revealed.push(task.runner);
      return answering(1)(task);
    };
    const stack = await fakeStack(temporal(), {
      spec: sealSpec({ quorum: 1, graceFactor: 100 }),
      runners: {
        [first]: sealing(200),
        [second]: async ({ runner }) => ({ kind: 'refused', runner, code: 'POLICY', reason: 'not today' }),
        [third]: sealing(1),
      },
      revealing: { [first]: noted, [second]: noted, [third]: noted },
      override: {
        admitSeal: async ({ seal }) => {
          if (seal.runner === third)
            throw ApplicationFailure.nonRetryable('its seal is signed by nobody', 'UPDATE_REFUSED');
        },
      },
    });
    await stack.run(() => finish(job('55')));
    expect(revealed).toEqual([first]);
    const { missing } = lastOfRound(stack.seen.rounds, 1);
    expect(missing.map(({ code, reason }) => [code, reason])).toEqual([
      ['refused', 'POLICY: not today'],
      ['rejected', 'its seal is signed by nobody'],
    ]);
  });

  test('fails when too few seal, and has nothing revealed', async () => {
    const stack = await fakeStack(temporal(), {
      spec: sealSpec({ quorum: 2, deadlineSeconds: 2 }),
      runners: { [first]: sealing(1), [second]: silent },
    });
    await expect(stack.run(() => finish(job('56')))).rejects.toThrow();
    const { problem } = lastOfRound(stack.seen.rounds, 1);
    expect(problem?.code).toBe('QUORUM_NOT_REACHED');
    expect(problem?.message).toMatch(/the seals of 1 of the 2 updates/);
    expect(stack.seen.calls).not.toContain('seals 1 of 1');
  });

  test('pays with receipts for what was revealed when too few reveal', async () => {
    const stack = await fakeStack(temporal(), {
      spec: sealSpec({ quorum: 2, deadlineSeconds: 3 }),
      runners: { [first]: sealing(1), [second]: sealing(1) },
      revealing: { [second]: silent },
    });
    await expect(stack.run(() => finish(job('57')))).rejects.toThrow();
    expect(stack.seen.calls).toContain('receipts 1 for 1');
    expect(lastOfRound(stack.seen.rounds, 1).problem?.message).toMatch(/1 of the 2 updates/);
  });

  test('asks more than a hundred runners in groups, twice', async () => {
    const selected = Array.from({ length: 150 }, (_, index) => runnerAddress(index + 1));
    const far = runnerAddress(140);
    const stack = await fakeStack(temporal(), {
      spec: sealSpec({ quorum: 3, graceFactor: 2 }),
      runners: { [first]: sealing(300), [second]: sealing(300), [far]: sealing(300) },
      selected,
    });
    await stack.run(() => finish(job('58')));
    const { phase, participants } = lastOfRound(stack.seen.rounds, 1);
    expect(phase).toBe('done');
    const done = participants.filter(({ state }) => state === 'done').map(({ runner }) => runner);
    expect(done).toEqual([first, second, far]);
    expect(stack.seen.calls).toContain('seals 1 of 3');
  });

  test('ends at once when its job is cancelled between seals and updates', async () => {
    const stack = await fakeStack(temporal(), {
      spec: sealSpec({ quorum: 'all' }),
      runners: { [first]: sealing(1), [second]: sealing(1) },
      revealing: { [first]: silent, [second]: silent },
    });
    await stack.run(async () => {
      const running = await start(job('59'));
      await until(async () => stack.seen.calls.includes('seals 1 of 2'), 'the list is signed', 20);
      await running.signal(signalNames.cancel);
      await running.result();
    });
    expect(last(stack.seen.jobs).state).toBe('cancelled');
    const round = await temporal()
      .client.workflow.getHandle(roundWorkflowId(job('59'), 1))
      .describe();
    expect(round.status.name).toBe('CANCELLED');
  });
});

test('a round whose runners do not seal takes no seal for an update', async () => {
  const stack = await fakeStack(temporal(), {
    spec: fakeSpec({ rounds: 1, quorum: 1, graceFactor: 100 }),
    runners: { [first]: answering(300), [second]: sealing(1) },
    override: {
      admitUpdate: async ({ update }) => {
        if ((update.kind as string) !== 'update')
          throw ApplicationFailure.nonRetryable('it has not the form of one', 'UPDATE_REFUSED');
      },
    },
  });
  await stack.run(() => finish(job('5a')));
  expect(lastOfRound(stack.seen.rounds, 1).missing).toEqual([
    { runner: second, code: 'rejected', reason: 'it has not the form of one' },
  ]);
});

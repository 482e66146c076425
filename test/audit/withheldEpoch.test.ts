import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { answerEpochQuestion, epochAnswerFrom } from '#audit/epochAnswer.js';
import { epochQuestions } from '#audit/epochQuestions.js';
import { linesOf, OpenEpoch } from '#audit/openEpoch.js';
import type { AuditSources } from '#audit/sources.js';
import { Watcher, type Observation } from '#audit/watcher.js';
import { toHex, ZERO_HASH } from '#core/hex.js';
import { sha256 } from '#services/sha256.js';
import { addressOf, type ChainStack } from '#test/services/chainStack.js';
import { passWindow, sourcesOf, startCourt, stranger } from './court.js';
import { give, settle, type FalseEpoch } from './falseEpoch.js';
import { writeHistory } from './history.js';
import { runnerWallets } from './signing.js';

type History = Awaited<ReturnType<typeof writeHistory>>;

/** Each history publishes epoch 1 of the same payer; what is revoked makes room for the next. */
let stack: ChainStack;
beforeAll(async () => {
  stack = await startCourt();
});
afterAll(() => stack.stop());

const [first, second] = runnerWallets.map(addressOf);

describe('what nobody can open is asked for', () => {
  test('and revoked when nobody answers', async () => {
    const history = await writeHistory(stack, 'unopened', {
      epoch: (epoch) => void (epoch.root = ZERO_HASH),
    });
    const { watcher, seen } = watching(sourcesOf(stack, history));
    expect(await seen()).toMatchObject([{ outcome: 'asked', calls: lineCalls }]);
    // Nothing is asked twice, and nothing takes effect while it waits.
    expect(await seen()).toEqual([]);
    await passWindow(stack);
    expect((await stack.chain.purse(history.payer)).inEffect).toBe(0);
    await watcher.look(() => undefined);
    expect((await stack.chain.purse(history.payer)).latest).toBe(0);
  });

  test('and judged by the answers where nobody else has the manifest', async () => {
    const history = await writeHistory(stack, 'withheld and wrong', {
      epoch: (epoch) => {
        give(epoch, 0, first, -1n);
        give(epoch, 0, second, 1n);
        settle(epoch);
      },
    });
    const { seen } = watching(withoutEpochs(sourcesOf(stack, history)));
    expect(await seen()).toMatchObject([{ outcome: 'asked', calls: lineCalls }]);
    await answerAll(history);
    expect(await seen()).toMatchObject([
      { outcome: 'asked', calls: ['askDeltas', 'askDeltas', 'askDeltas'] },
    ]);
    // In the last moment, when the epoch's own window is long over.
    await answerAll(history);
    expect(await seen()).toMatchObject([{ outcome: 'convicted', calls: ['wrongAmount'] }]);
    expect((await stack.chain.purse(history.payer)).latest).toBe(0);
  });

  test('and a payer whose lines do not begin where those before them end is convicted by its answers', async () => {
    let published: OpenEpoch | null = null;
    const history = await writeHistory(stack, 'lines that overlap', {
      epoch: (epoch) => {
        published = overlapping(epoch);
        epoch.root = toHex(published.tree.root);
        epoch.total = String(BigInt(epoch.total) - 1n);
      },
    });
    const { seen } = watching(sourcesOf(stack, history));
    expect(await seen()).toMatchObject([{ outcome: 'asked', calls: lineCalls }]);
    if (!published) throw new Error('Nothing was published.');
    await answerAll(history, published);
    await seen();
    await answerAll(history, published);
    expect(await seen()).toMatchObject([
      {
        outcome: 'convicted',
        calls: ['wrongOrder'],
        what: expect.stringMatching(/the lines before account .* come to \d+, and its line says \d+/),
      },
    ]);
    expect((await stack.chain.purse(history.payer)).latest).toBe(0);
  });

  test('and an honest payer that answers loses nothing and pays out', async () => {
    const history = await writeHistory(stack, 'withheld and right');
    const { chain, anvil, member } = stack;
    const { seen } = watching(withoutEpochs(sourcesOf(stack, history)));
    await seen();
    const before = await anvil.provider.getBalance(member.address);
    expect(await answerAll(history)).toBe(3);
    await seen();
    expect(await answerAll(history)).toBe(3);
    expect((await anvil.provider.getBalance(member.address)) - before).toBeGreaterThan(5n * 10n ** 16n);
    expect(await seen()).toMatchObject([{ outcome: 'holds', unknown: [] }]);
    await passWindow(stack);
    expect((await chain.purse(history.payer)).inEffect).toBe(1);
  });
});

const lineCalls = ['askLine', 'askLine', 'askLine'];

/** An epoch whose second line, and all that follow, begin a unit before the end of those before them. */
function overlapping({ accounts, rounds }: FalseEpoch): OpenEpoch {
  const lines = linesOf(accounts).map((line) => ({
    ...line,
    totalPrefix: line.index === 0 ? 0n : line.totalPrefix - 1n,
  }));
  return new OpenEpoch(sha256, lines, rounds);
}

/** As whoever finds no epoch's manifest in the archive. */
function withoutEpochs(sources: AuditSources): AuditSources {
  const { archive } = sources;
  return {
    ...sources,
    archive: {
      get: (id, most) => archive.get(id, most),
      find: async (tags) => (tags['Kind'] === 'epoch' ? [] : archive.find(tags)),
    },
  };
}

/** What one watcher says of epochs, look by look. */
function watching(sources: AuditSources) {
  const watcher = new Watcher(sources, stack.sender(stranger));
  const seen = async () => {
    const said: Observation[] = [];
    await watcher.look((observation) => said.push(observation));
    return said.filter(({ subject }) => subject === 'epoch');
  };
  return { watcher, seen };
}

/**
 * The payer's stack answers everything that waits, shortly before it is due.
 * @param epoch as it stands on chain, where no manifest leads to it
 */
async function answerAll(history: History, epoch?: OpenEpoch): Promise<number> {
  const waiting = (await epochQuestions(stack.chain, { payer: history.payer, from: undefined })).filter(
    ({ challenger }) => challenger !== null,
  );
  await stack.anvil.provider.send('evm_increaseTime', [40]);
  await stack.anvil.provider.send('evm_mine', []);
  for (const question of waiting) {
    const call = epoch
      ? epochAnswerFrom(sourcesOf(stack, history), epoch, question)
      : await answerEpochQuestion(sourcesOf(stack, history), question);
    if (!call) throw new Error('There was no answer.');
    await stack.sender(stack.member).send(`answer ${question.id}`, call);
  }
  return waiting.length;
}

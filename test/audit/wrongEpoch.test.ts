import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { canonicalBytes } from '#core/canonicalJson.js';
import { Watcher, type Observation } from '#audit/watcher.js';
import type { Hex } from '#core/hex.js';
import { manifestHash, type EpochManifest } from '#core/manifest.js';
import { sha256 } from '#services/sha256.js';
import { addressOf, type ChainStack } from '#test/services/chainStack.js';
import { sourcesOf, startCourt, stranger } from './court.js';
import { give, root, settle, type FalseEpoch } from './falseEpoch.js';
import { writeHistory } from './history.js';
import { runnerWallets } from './signing.js';

/** Each history publishes epoch 1 of the same payer; what is revoked makes room for the next. */
let stack: ChainStack;
beforeAll(async () => {
  stack = await startCourt();
});
afterAll(() => stack.stop());

const [first, second, third] = runnerWallets.map(addressOf);

describe('a payer is convicted by the watcher for', () => {
  const lies: [name: string, falsify: (epoch: FalseEpoch) => void, call: string, what: RegExp][] = [
    [
      'a unit that one runner got and another should have',
      (epoch) => {
        give(epoch, 0, first, -1n);
        give(epoch, 0, second, 1n);
      },
      'wrongAmount',
      /runner .* is paid \d+ for round 1 of job .* and its share is \d+/,
    ],
    [
      'a runner that is not paid for a round that others are paid for',
      (epoch) => {
        const [paid] = epoch.rounds;
        if (paid) paid.shares = paid.shares.filter(({ runner }) => runner !== third);
      },
      'unpaid',
      /is not paid for round 1 of job .*, and others are/,
    ],
    [
      'an account that had no part in the round it is paid for',
      (epoch) => {
        const [paid] = epoch.rounds;
        const [share] = paid?.shares ?? [];
        const [line] = epoch.accounts;
        if (!paid || !share || !line) return;
        const account = `0x${'00'.repeat(19)}01` as Hex;
        paid.shares = [{ ...share, runner: account, amount: '0' }, ...paid.shares];
        epoch.accounts = [{ ...line, account, previous: '0' }, ...epoch.accounts];
      },
      'unearned',
      /is paid for round 1 of job .* and had no part in it/,
    ],
    [
      'a round that never was',
      (epoch) => {
        const [paid] = epoch.rounds;
        if (paid) epoch.rounds = [...epoch.rounds, { ...paid, round: 3 }];
      },
      'unreleased',
      /round 3 of job .* is paid, and its budget was never released/,
    ],
  ];
  test.each(lies)('%s', async (name, falsify, call, what) => {
    const history = await writeHistory(stack, name, {
      epoch: (epoch) => {
        falsify(epoch);
        settle(epoch);
      },
    });
    expect(await revoked(history)).toMatchObject([
      {
        subject: 'epoch',
        number: 1,
        accountable: history.payer,
        outcome: 'convicted',
        calls: [call],
        what: expect.stringMatching(what),
      },
    ]);
  });

  const lines: [name: string, falsify: (epoch: FalseEpoch) => void, call: string, what: RegExp][] = [
    [
      'a line that its rounds do not lead to',
      ({ accounts: [line] }) => {
        if (line) line.cumulative = String(BigInt(line.cumulative) + 1n);
      },
      'wrongDeltas',
      /what account .* earned comes to \d+, and its line says \d+/,
    ],
    [
      'a past that no epoch gave an account',
      ({ accounts: [line] }) => {
        if (line) [line.previous, line.cumulative] = ['5', String(BigInt(line.cumulative) + 5n)];
      },
      'wrongPrevious',
      /had 0 before, and its line says 5/,
    ],
    [
      'lines out of order',
      (epoch) => void (epoch.accounts = epoch.accounts.toReversed()),
      'wrongOrder',
      /is out of order or there twice/,
    ],
  ];
  test.each(lines)('%s', async (name, falsify, call, what) => {
    const history = await writeHistory(stack, name, {
      epoch: (epoch) => {
        falsify(epoch);
        root(epoch);
      },
    });
    expect(await revoked(history)).toMatchObject([
      { outcome: 'convicted', calls: [call], what: expect.stringMatching(what) },
    ]);
  });

  test('a total that its lines do not come to', async () => {
    const history = await writeHistory(stack, 'a total', {
      epoch: (epoch) => void (epoch.total = String(BigInt(epoch.total) - 1n)),
    });
    expect(await revoked(history)).toMatchObject([{ outcome: 'convicted', calls: ['wrongTotal'] }]);
  });
});

test('an account that the epoch before had, and this one leaves out, revokes it', async () => {
  const fresh = await startCourt();
  try {
    const history = await writeHistory(fresh, 'before');
    const first = JSON.parse(
      Buffer.from(await history.archive.get(history.archived['epoch'] ?? '')).toString(),
    ) as EpochManifest;
    const [left, heir, ...others] = first.hashed.accounts.map((line) => ({
      ...line,
      previous: line.cumulative,
    }));
    if (!left || !heir) throw new Error('The epoch pays nobody.');
    // Its share goes to another, so that the total does not fall.
    heir.cumulative = String(BigInt(heir.cumulative) + BigInt(left.cumulative));
    const hashed: FalseEpoch = {
      ...first.hashed,
      epoch: 2,
      previousManifest: manifestHash(sha256, first),
      rounds: [],
      accounts: [heir, ...others],
    };
    root(hashed);
    const manifest = { hashed, measured: {} };
    const hash = manifestHash(sha256, manifest);
    history.archive.put(canonicalBytes(manifest), {
      'App-Name': 'Roundtable',
      Kind: 'epoch',
      'Manifest-Hash': hash,
    });
    const { rewards } = fresh.calls;
    await fresh
      .sender(fresh.member)
      .send('epoch 2', rewards.publish(2, hashed.root, 2, BigInt(hashed.total), hash));
    const seen: Observation[] = [];
    await new Watcher(sourcesOf(fresh, history), fresh.sender(stranger)).look((said) => seen.push(said));
    expect(seen).toMatchObject([
      { number: 1, outcome: 'holds' },
      {
        number: 2,
        outcome: 'convicted',
        calls: ['omitted'],
        what: expect.stringMatching(new RegExp(`account ${left.account} of the epoch before is left out`)),
      },
    ]);
    expect((await fresh.chain.purse(history.payer)).latest).toBe(1);
  } finally {
    await fresh.stop();
  }
});

test('an honest epoch is revoked by nobody', async () => {
  const fresh = await startCourt();
  try {
    const history = await writeHistory(fresh, 'honest');
    const seen: Observation[] = [];
    await new Watcher(sourcesOf(fresh, history), fresh.sender(stranger)).look((said) => seen.push(said));
    expect(seen).toMatchObject([{ subject: 'epoch', outcome: 'holds', unknown: [], transactions: [] }]);
    expect((await fresh.chain.purse(history.payer)).latest).toBe(1);
  } finally {
    await fresh.stop();
  }
});

type Told = Awaited<ReturnType<typeof writeHistory>>;

async function revoked(history: Told): Promise<Observation[]> {
  expect((await stack.chain.purse(history.payer)).latest).toBe(1);
  const seen = (await look(history)).filter(({ subject }) => subject === 'epoch');
  expect((await stack.chain.purse(history.payer)).latest).toBe(0);
  return seen;
}

async function look(history: Told): Promise<Observation[]> {
  const seen: Observation[] = [];
  await new Watcher(sourcesOf(stack, history), stack.sender(stranger)).look((said) => seen.push(said));
  return seen;
}

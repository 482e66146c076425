import { describe, expect, test } from '@jest/globals';
import { auditAll, auditVersion } from '#audit/audit.js';
import { toHex } from '#core/hex.js';
import { epochTree } from '#core/rewards.js';
import { sha256 } from '#services/sha256.js';
import { startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { type Falsification, moveUnit } from './falsification.js';
import { prepareCoordinator, writeHistory, type History } from './history.js';

describe('an honest chain', () => {
  test('holds as a whole: every job and every payment', async () => {
    await withOwnChain('whole', {}, async (own, history) => {
      const result = await auditAll({ chain: own.chain, archive: history.archive, hash: sha256 });
      expect(result.wrong).toBeNull();
      const epoch = result.checks.filter(({ subject }) => subject === 'epoch 1').map(({ check }) => check);
      expect(epoch).toEqual(['manifest', 'rounds', 'tree']);
    });
  });
});

describe('a payer that cheats in its epoch', () => {
  const cases: [name: string, falsify: Falsification, check: string, detail: RegExp][] = [
    [
      'pays one account a unit of another',
      {
        epoch(manifest) {
          const [first, second] = manifest.accounts;
          if (!first || !second) return;
          first.cumulative = String(BigInt(first.cumulative) + 1n);
          second.cumulative = String(BigInt(second.cumulative) - 1n);
        },
      },
      'tree',
      /the cumulative of 0x/,
    ],
    [
      'publishes the root of another tree',
      {
        epoch: (manifest) =>
          void (manifest.root = toHex(
            epochTree(sha256, {
              accounts: [
                {
                  account: `0x${'77'.repeat(20)}` as const,
                  cumulative: 1001n,
                  previous: 0n,
                  deltas: [{ job: `0x${'01'.repeat(32)}` as const, round: 1, amount: 1001n }],
                },
              ],
            }).root,
          )),
      },
      'tree',
      /the root/,
    ],
    [
      'pays a round twice',
      { epoch: (manifest) => void manifest.rounds.push(...manifest.rounds.slice(0, 1)) },
      'rounds',
      /paid twice/,
    ],
    [
      'pays a round that never closed',
      {
        epoch: (manifest) =>
          void (manifest.rounds = manifest.rounds.map((entry) => ({ ...entry, round: entry.round + 7 }))),
      },
      'rounds',
      /has not closed it/,
    ],
    [
      'changes a share',
      { epoch: (manifest) => moveUnit(manifest.rounds[0]?.shares ?? []) },
      'rounds',
      /^the share of 0x\w+ in round 1 is 249, expected 250$/,
    ],
  ];
  test.each(cases)('%s', async (name, falsify, check, detail) => {
    await withOwnChain(name, falsify, async (own, history) => {
      const sources = { chain: own.chain, archive: history.archive, hash: sha256 };
      const { wrong } = await auditVersion(sources, history.versions[2] ?? '0x');
      expect([wrong?.subject, wrong?.check]).toEqual(['epoch 1', check]);
      expect(wrong?.detail).toMatch(detail);
    });
  });
});

async function withOwnChain(
  name: string,
  falsify: Falsification,
  work: (own: ChainStack, history: History) => Promise<void>,
): Promise<void> {
  const own = await startChainStack();
  try {
    await prepareCoordinator(own);
    await work(own, await writeHistory(own, name, falsify));
  } finally {
    await own.stop();
  }
}

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import { auditVersion } from '#audit/audit.js';
import type { Place } from '#audit/checklist.js';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import { sha256 } from '#services/sha256.js';
import { addressOf, startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { type Falsification, moveUnit } from './falsification.js';
import { prepareCoordinator, writeHistory, type History, updatesOf } from './history.js';
import { runnerWallets } from './signing.js';

const stranger = new Wallet(`0x${'77'.repeat(32)}`);

let stack: ChainStack;
beforeAll(async () => {
  stack = await startChainStack();
  await prepareCoordinator(stack);
  // Epoch 1 pays an honest history; what is falsified here stays unpaid.
  await writeHistory(stack, 'honest');
});
afterAll(() => stack.stop());

describe('a coordinator that cheats in round 2 and anchors it as if it were true', () => {
  const cases: [name: string, falsify: Falsification, check: string, detail: RegExp, place: Place][] = [
    [
      'moves a parameter by one grid step',
      { params: (params) => void (params[17] = (params[17] ?? 0) + 1) },
      'step',
      /^parameter 12 of tensor fc1\.weight \(17 of the vector\) is -?\d+, and the updates give -?\d+$/,
      { tensor: 'fc1.weight', index: 12, parameter: 17 },
    ],
    [
      'gives a runner one more weight',
      { headers: (headers) => headers.map((h, i) => (i === 1 ? { ...h, weight: h.weight + 1 } : h)) },
      'participants',
      /weight of runner/,
      who(1),
    ],
    [
      'writes more samples than were declared',
      { headers: (headers) => headers.map((h, i) => (i === 1 ? { ...h, samples: 61, weight: 61 } : h)) },
      'participants',
      /61 samples, and 60 were declared/,
      who(1),
    ],
    [
      'leaves a runner out without saying so',
      { headers: (headers) => headers.slice(0, 2) },
      'participants',
      /neither present nor missing/,
      who(2),
    ],
    [
      'counts a runner twice',
      { headers: ([a, b, c]) => [a, b, b, c].flatMap((h, index) => (h ? [{ ...h, index }] : [])) },
      'participants',
      /out of order or there twice/,
      who(1),
    ],
    [
      'swaps two runners',
      { headers: ([a, b, c]) => [b, a, c].flatMap((h, index) => (h ? [{ ...h, index }] : [])) },
      'participants',
      /out of order or there twice/,
      who(0),
    ],
    [
      'calls a present runner missing',
      {
        manifest: (m) =>
          void m.missing.push({ runner: m.headers[0]?.runner ?? '0x', code: 'late', reason: 'so they say' }),
      },
      'participants',
      /both present and missing/,
      who(0),
    ],
    [
      'signs for a runner with another key',
      {
        headers: async (headers, sign) =>
          Promise.all(
            headers.map(async (h, i) =>
              i === 0 ? { ...h, signature: await sign(h.runner, { ...h, round: 2, by: stranger }) } : h,
            ),
          ),
      },
      'signatures',
      /signature of runner/,
      who(0),
    ],
    [
      'replays a signature of another round',
      {
        headers: async (headers, sign) =>
          Promise.all(
            headers.map(async (h, i) =>
              i === 0 ? { ...h, signature: await sign(h.runner, { ...h, round: 1 }) } : h,
            ),
          ),
      },
      'signatures',
      /signature of runner/,
      who(0),
    ],
    [
      'replays a signature of another job',
      {
        headers: async (headers, sign) =>
          Promise.all(
            headers.map(async (h, i) =>
              i === 2
                ? { ...h, signature: await sign(h.runner, { ...h, round: 2, job: `0x${'12'.repeat(32)}` }) }
                : h,
            ),
          ),
      },
      'signatures',
      /signature of runner/,
      who(2),
    ],
    [
      'replays a signature of another chain',
      {
        headers: async (headers, sign) =>
          Promise.all(
            headers.map(async (h, i) =>
              i === 2 ? { ...h, signature: await sign(h.runner, { ...h, round: 2, chainId: 1 }) } : h,
            ),
          ),
      },
      'signatures',
      /signature of runner/,
      who(2),
    ],
    [
      'replays a signature of another contract',
      {
        headers: async (headers, sign) =>
          Promise.all(
            headers.map(async (h, i) =>
              i === 1
                ? { ...h, signature: await sign(h.runner, { ...h, round: 2, jobs: addressOf(stranger) }) }
                : h,
            ),
          ),
      },
      'signatures',
      /signature of runner/,
      who(1),
    ],
    [
      'adds another sum, from which everything else follows',
      { sum: (sum) => void (sum[30] = (sum[30] ?? 0) + 1e6) },
      'sum',
      /^the sum of node 0 of level 0 is committed to as 0x\w+, and the updates give 0x\w+; parameter \d+ of tensor/,
      { tensor: 'fc2.weight', index: 2, parameter: 30 },
    ],
    [
      'uses the malleable twin of a signature',
      {
        headers: (headers) =>
          headers.map((h, i) => (i === 0 ? { ...h, signature: malleable(h.signature) } : h)),
      },
      'signatures',
      /malformed/,
      who(0),
    ],
    [
      'names another chain for the signatures',
      { manifest: (m) => void (m.domain = { ...m.domain, chainId: 1 }) },
      'identity',
      /chain id/,
      {},
    ],
    [
      'names another contract for the signatures',
      { manifest: (m) => void (m.domain = { ...m.domain, jobs: addressOf(stranger) }) },
      'identity',
      /Jobs contract/,
      {},
    ],
    [
      'claims another sum',
      { manifest: (m) => void (m.sumRoots = [[`0x${'05'.repeat(32)}`]]) },
      'aggregation tree',
      /root header/,
      {},
    ],
    [
      'builds on another version',
      { manifest: (m) => void (m.base = { ...m.base, paramsRoot: `0x${'05'.repeat(32)}` }) },
      'identity',
      /base version/,
      {},
    ],
    [
      'changes the spec on the way',
      { manifest: (m) => void (m.spec = { ...m.spec, participants: { ...m.spec.participants, quorum: 1 } }) },
      'identity',
      /the spec/,
      {},
    ],
    [
      'forgets the manifest before',
      { manifest: (m) => void (m.previousManifest = `0x${'05'.repeat(32)}`) },
      'identity',
      /manifest before/,
      {},
    ],
    [
      'closes under a version id of its own',
      { manifest: (m) => void (m.version = { ...m.version, versionId: `0x${'05'.repeat(32)}` }) },
      'version id',
      /the id/,
      {},
    ],
    [
      'asks other runners than it opened with',
      { manifest: (m) => void (m.opening = { ...m.opening, selection: m.opening.selection.slice(0, 2) }) },
      'opening',
      /open hash/,
      {},
    ],
    [
      'moves a reward by one unit',
      { manifest: (m) => moveUnit(m.rewards.shares) },
      'rewards',
      /the amount of 0x/,
      who(0),
    ],
    [
      'pays from another budget',
      { manifest: (m) => void (m.rewards.budget = '502') },
      'rewards',
      /budget/,
      {},
    ],
  ];
  test.each(cases)('%s', async (name, falsify, check, detail, place) => {
    const history = await writeHistory(stack, name, falsify);
    const { wrong } = await audit(history);
    expect([wrong?.subject, wrong?.check]).toEqual(['round 2', check]);
    expect(wrong?.detail).toMatch(detail);
    expect(wrong?.place).toEqual({ job: history.job, round: 2, ...place });
  });

  test('with too few updates for the quorum', async () => {
    const history = await writeHistory(stack, 'too few', {
      headers: (headers) => headers.slice(0, 1),
      manifest: (m) =>
        void m.missing.push(
          ...m.opening.selection
            .slice(1)
            .map(({ runner }) => ({ runner, code: 'late' as const, reason: 'late' })),
        ),
    });
    const { wrong } = await audit(history);
    expect([wrong?.check, wrong?.detail]).toEqual(['participants', '1 updates do not make the quorum of 2']);
  });
});

/** A runner of the history, in the order of their addresses. */
function who(index: number): Place {
  const wallet = runnerWallets[index];
  return wallet ? { runner: addressOf(wallet) } : {};
}

function audit(history: History) {
  return auditVersion(
    { chain: stack.chain, archive: history.archive, hash: sha256, updateSource: updatesOf(history) },
    history.versions[2] ?? '0x',
  );
}

/** (r, n - s) with the other parity recovers to the same signer; only one of the two counts. */
function malleable(signature: Hex): Hex {
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const bytes = fromHex(signature, 65);
  const s = order - BigInt(toHex(bytes.slice(32, 64)));
  const v = bytes[64] === 27 ? '1c' : '1b';
  return `${toHex(bytes.slice(0, 32))}${s.toString(16).padStart(64, '0')}${v}` as Hex;
}

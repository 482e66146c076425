import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import { auditAll, auditVersion, type Audit } from '#audit/audit.js';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import { epochTree } from '#core/rewards.js';
import { sha256 } from '#services/sha256.js';
import { addressOf, startChainStack, type ChainStack } from '#test/services/chainStack.js';
import {
  prepareCoordinator,
  runnerWallets,
  writeHistory,
  type Falsification,
  type History,
} from './history.js';

const stranger = new Wallet(`0x${'77'.repeat(32)}`);

let stack: ChainStack;
/** The first history of the chain: honest, and the one whose rounds epoch 1 pays. */
let honest: History;

beforeAll(async () => {
  stack = await startChainStack();
  await prepareCoordinator(stack);
  honest = await writeHistory(stack, 'honest');
});
afterAll(() => stack.stop());

function audit(history: History, options: { updates?: boolean; version?: number } = {}): Promise<Audit> {
  const updates = (root: Hex) => Promise.resolve(history.updates.get(root) ?? null);
  const sources = {
    chain: stack.chain,
    archive: history.archive,
    hash: sha256,
    ...(options.updates === false ? {} : { update: updates }),
  };
  return auditVersion(sources, history.versions[options.version ?? 2] ?? '0x');
}

describe('an honest history', () => {
  test('holds in every check, with the sums recomputed from the updates', async () => {
    const result = await audit(honest);
    expect(result.wrong).toBeNull();
    expect(result.ok).toBe(true);
    expect(result.rounds.map(({ round, recomputed }) => [round, recomputed])).toEqual([
      [1, true],
      [2, true],
    ]);
    expect(result.checks.every(({ ok }) => ok === true)).toBe(true);
  });

  test('is verified no further than the version that was asked for', async () => {
    const result = await audit(honest, { version: 1 });
    expect(result.ok).toBe(true);
    expect(result.rounds.map(({ round }) => round)).toEqual([1]);
  });

  test('says of each round that its sum stands on the coordinator’s word when no updates are at hand', async () => {
    const result = await audit(honest, { updates: false });
    expect(result.ok).toBe(true);
    expect(result.rounds.every(({ recomputed }) => !recomputed)).toBe(true);
    const open = result.checks.filter(({ ok }) => ok === null);
    expect(open.map(({ subject, check }) => [subject, check])).toEqual([
      ['round 1', 'sum'],
      ['round 2', 'sum'],
    ]);
    expect(open[0]?.detail).toContain(honest.payer);
  });

  test('holds as a whole: every job and every payment', async () => {
    await withOwnChain('whole', {}, async (own, history) => {
      const result = await auditAll({ chain: own.chain, archive: history.archive, hash: sha256 });
      expect(result.wrong).toBeNull();
      const epoch = result.checks.filter(({ subject }) => subject === 'epoch 1').map(({ check }) => check);
      expect(epoch).toEqual(['manifest', 'rounds', 'tree']);
    });
  });
});

describe('a version that the chain does not know', () => {
  test('is the first wrong thing', async () => {
    const sources = { chain: stack.chain, archive: honest.archive, hash: sha256 };
    const result = await auditVersion(sources, `0x${'ab'.repeat(32)}`);
    expect(result.wrong?.detail).toMatch(/knows no version/);
  });
});

describe('one changed byte in the archive', () => {
  const cases: [name: string, what: string, subject: string, check: string][] = [
    ['of the graph', 'graph', 'start', 'graph'],
    ['of the first parameters', 'model 0', 'start', 'model file'],
    ['of later parameters', 'model 2', 'round 2', 'model file'],
    ['of the first manifest', 'manifest 0', 'start', 'manifest'],
    ['of a round’s manifest', 'manifest 1', 'round 1', 'manifest'],
    ['of the epoch’s manifest', 'epoch', 'epoch 1', 'manifest'],
  ];
  test.each(cases)('%s is found', async (_name, what, subject, check) => {
    const file = honest.archived[what] ?? '';
    const original = await honest.archive.get(file);
    // A digit, so that JSON stays JSON: it is the hash that must find it, not the parser.
    const at = original.findLastIndex((byte) => byte >= 0x31 && byte <= 0x38);
    honest.archive.corrupt(file, (data) => data.map((byte, i) => (i === at ? byte ^ 1 : byte)));
    try {
      const { wrong } = await audit(honest);
      expect([wrong?.subject, wrong?.check]).toEqual([subject, check]);
    } finally {
      honest.archive.corrupt(file, () => original);
    }
  });

  test('of an update is found', async () => {
    const [root, file] = [...honest.updates][4] ?? ['0x' as Hex, new Uint8Array()];
    const changed = file.slice();
    changed[changed.length - 4] = (changed[changed.length - 4] ?? 0) ^ 1;
    honest.updates.set(root, changed);
    try {
      const { wrong } = await audit(honest);
      expect([wrong?.subject, wrong?.check]).toEqual(['round 2', 'sum']);
      expect(wrong?.detail).toContain(addressOf(runnerWallets[1] ?? stranger));
    } finally {
      honest.updates.set(root, file);
    }
  });
});

describe('a coordinator that cheats in round 2 and anchors it as if it were true', () => {
  const cases: [name: string, falsify: Falsification, check: string, detail: RegExp][] = [
    [
      'moves a parameter by one grid step',
      { params: (params) => void (params[17] = (params[17] ?? 0) + 1) },
      'step',
      /parameter \d+ of tensor fc\d\.\w+ is/,
    ],
    [
      'gives a runner one more weight',
      { headers: (headers) => headers.map((h, i) => (i === 1 ? { ...h, weight: h.weight + 1 } : h)) },
      'participants',
      /weight of runner/,
    ],
    [
      'writes more samples than were declared',
      { headers: (headers) => headers.map((h, i) => (i === 1 ? { ...h, samples: 61, weight: 61 } : h)) },
      'participants',
      /61 samples, and 60 were declared/,
    ],
    [
      'leaves a runner out without saying so',
      { headers: (headers) => headers.slice(0, 2) },
      'participants',
      /neither present nor missing/,
    ],
    [
      'counts a runner twice',
      { headers: ([a, b, c]) => [a, b, b, c].flatMap((h, index) => (h ? [{ ...h, index }] : [])) },
      'participants',
      /out of order or there twice/,
    ],
    [
      'swaps two runners',
      { headers: ([a, b, c]) => [b, a, c].flatMap((h, index) => (h ? [{ ...h, index }] : [])) },
      'participants',
      /out of order or there twice/,
    ],
    [
      'calls a present runner missing',
      {
        manifest: (m) =>
          void m.missing.push({ runner: m.headers[0]?.runner ?? '0x', code: 'late', reason: 'so they say' }),
      },
      'participants',
      /both present and missing/,
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
    ],
    [
      'uses the malleable twin of a signature',
      {
        headers: (headers) =>
          headers.map((h, i) => (i === 0 ? { ...h, signature: malleable(h.signature) } : h)),
      },
      'signatures',
      /malformed/,
    ],
    [
      'names another chain for the signatures',
      { manifest: (m) => void (m.domain = { ...m.domain, chainId: 1 }) },
      'identity',
      /chain id/,
    ],
    [
      'names another contract for the signatures',
      { manifest: (m) => void (m.domain = { ...m.domain, jobs: addressOf(stranger) }) },
      'identity',
      /Jobs contract/,
    ],
    [
      'claims another sum',
      { manifest: (m) => void (m.sumRoots = [[`0x${'05'.repeat(32)}`]]) },
      'aggregation tree',
      /root header/,
    ],
    [
      'builds on another version',
      { manifest: (m) => void (m.base = { ...m.base, paramsRoot: `0x${'05'.repeat(32)}` }) },
      'identity',
      /base version/,
    ],
    [
      'changes the spec on the way',
      { manifest: (m) => void (m.spec = { ...m.spec, participants: { ...m.spec.participants, quorum: 1 } }) },
      'identity',
      /the spec/,
    ],
    [
      'forgets the manifest before',
      { manifest: (m) => void (m.previousManifest = `0x${'05'.repeat(32)}`) },
      'identity',
      /manifest before/,
    ],
    [
      'closes under a version id of its own',
      { manifest: (m) => void (m.version = { ...m.version, versionId: `0x${'05'.repeat(32)}` }) },
      'version id',
      /the id/,
    ],
    [
      'asks other runners than it opened with',
      { manifest: (m) => void (m.opening = { ...m.opening, selection: m.opening.selection.slice(0, 2) }) },
      'opening',
      /open hash/,
    ],
    [
      'moves a reward by one unit',
      { manifest: (m) => moveUnit(m.rewards.shares) },
      'rewards',
      /the amount of 0x/,
    ],
    ['pays from another budget', { manifest: (m) => void (m.rewards.budget = '502') }, 'rewards', /budget/],
  ];
  test.each(cases)('%s', async (name, falsify, check, detail) => {
    const { wrong } = await audit(await writeHistory(stack, name, falsify));
    expect([wrong?.subject, wrong?.check]).toEqual(['round 2', check]);
    expect(wrong?.detail).toMatch(detail);
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
                  account: addressOf(stranger),
                  cumulative: 1001n,
                  previous: 0n,
                  deltas: [{ job: honest.job, round: 1, amount: 1001n }],
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
      /the shares of round 1/,
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

describe('a node that lies about events', () => {
  test('is found by the commitments in storage', async () => {
    const lying = {
      ...stack.chain,
      rounds: async (job: Hex) =>
        (await stack.chain.rounds(job)).map((round) => ({
          ...round,
          closing: round.closing && { ...round.closing, manifestHash: `0x${'05'.repeat(32)}` as Hex },
        })),
    };
    const result = await auditVersion(
      { chain: lying, archive: honest.archive, hash: sha256 },
      honest.versions[2] ?? '0x',
    );
    expect([result.wrong?.check, result.wrong?.detail]).toEqual([
      'commitments',
      expect.stringContaining('the closing of round 1'),
    ]);
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

function moveUnit(shares: { amount: string }[]): void {
  const [from, to] = shares;
  if (!from || !to) return;
  from.amount = String(BigInt(from.amount) - 1n);
  to.amount = String(BigInt(to.amount) + 1n);
}

/** (r, n - s) with the other parity recovers to the same signer; only one of the two counts. */
function malleable(signature: Hex): Hex {
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const bytes = fromHex(signature, 65);
  const s = order - BigInt(toHex(bytes.slice(32, 64)));
  const v = bytes[64] === 27 ? '1c' : '1b';
  return `${toHex(bytes.slice(0, 32))}${s.toString(16).padStart(64, '0')}${v}` as Hex;
}

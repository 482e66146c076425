import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { auditVersion, type Audit } from '#audit/audit.js';
import type { Hex } from '#core/hex.js';
import { sha256 } from '#services/sha256.js';
import { startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { prepareCoordinator, updatesOf, writeHistory, type History } from './history.js';
import { runnerWallets } from './signing.js';

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
  const sources = {
    chain: stack.chain,
    archive: history.archive,
    hash: sha256,
    ...(options.updates === false ? {} : { updateSource: updatesOf(history) }),
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
});

describe('a history with server momentum', () => {
  test('holds, its velocity recomputed with its parameters', async () => {
    const result = await audit(await writeHistory(stack, 'momentum', {}, { rule: 'fedavgm' }));
    expect(result.wrong).toBeNull();
    expect(
      result.checks.filter(({ check }) => check === 'step').map(({ how, ok }) => [how.slice(0, 7), ok]),
    ).toEqual([
      ['fedavgm', true],
      ['fedavgm', true],
    ]);
  });

  test('is wrong where the velocity is off by one', async () => {
    const falsify = { velocity: (velocity: Int32Array) => void (velocity[3] = (velocity[3] ?? 0) + 1) };
    const { wrong } = await audit(await writeHistory(stack, 'wrong momentum', falsify, { rule: 'fedavgm' }));
    expect([wrong?.subject, wrong?.check]).toEqual(['round 2', 'momentum']);
    expect(wrong?.detail).toMatch(
      /^parameter 3 of tensor fc1\.bias \(3 of the vector\) is .* the velocity gives /,
    );
    expect(wrong?.place).toMatchObject({ round: 2, tensor: 'fc1.bias', index: 3, parameter: 3 });
  });

  test('is wrong where velocity and parameters are off together', async () => {
    const falsify = {
      velocity: (velocity: Int32Array) => void (velocity[8] = (velocity[8] ?? 0) + 1),
      params: (params: Int32Array) => void (params[8] = (params[8] ?? 0) + 1),
    };
    const { wrong } = await audit(await writeHistory(stack, 'wrong velocity', falsify, { rule: 'fedavgm' }));
    expect([wrong?.subject, wrong?.check]).toEqual(['round 2', 'step']);
    expect(wrong?.detail).toMatch(/^velocity 3 of tensor fc1\.weight \(8 of the vector\) is /);
    expect(wrong?.place).toMatchObject({ round: 2, tensor: 'fc1.weight', index: 3, parameter: 8 });
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
      expect(wrong?.detail).toContain(runnerWallets[1]?.address.toLowerCase());
    } finally {
      honest.updates.set(root, file);
    }
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

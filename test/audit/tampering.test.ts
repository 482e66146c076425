import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { auditVersion } from '#audit/audit.js';
import { AuditStopped, Checklist, type Place } from '#audit/checklist.js';
import { checkParticipants, checkSignatures, checkTree } from '#audit/headers.js';
import { openSavedChain, recordChain } from '#audit/savedChain.js';
import type { AuditChain } from '#audit/sources.js';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import { roundManifest, type RoundManifest } from '#core/manifest.js';
import { sha256 } from '#services/sha256.js';
import { startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { prepareCoordinator, updatesOf, writeHistory, type History } from './history.js';

/** Any byte, anywhere: what is changed at random must be found, and named. */
let stack: ChainStack;
let honest: History;
/** The record that the audits read: asking a node each time would only take longer. */
let chain: AuditChain;
let manifest: RoundManifest['hashed'];

beforeAll(async () => {
  stack = await startChainStack();
  await prepareCoordinator(stack);
  honest = await writeHistory(stack, 'honest');
  const recorder = recordChain(stack.chain);
  const sources = { chain: recorder.chain, archive: honest.archive, hash: sha256 };
  expect((await auditVersion(sources, honest.versions[2] ?? '0x')).wrong).toBeNull();
  chain = openSavedChain(await recorder.take({ at: new Date(0).toISOString(), block: 0, from: [] }));
  const bytes = await honest.archive.get(honest.archived['manifest 2'] ?? '');
  manifest = roundManifest.parse(JSON.parse(new TextDecoder().decode(bytes))).hashed;
});
afterAll(() => stack.stop());

async function audit() {
  const sources = { chain, archive: honest.archive, hash: sha256, updateSource: updatesOf(honest) };
  return (await auditVersion(sources, honest.versions[2] ?? '0x')).wrong;
}

const bit = { at: fc.nat(), flip: fc.integer({ min: 1, max: 255 }) };

function changed(bytes: Uint8Array, { at, flip }: { at: number; flip: number }): Uint8Array {
  const copy = bytes.slice();
  const index = at % copy.length;
  copy[index] = (copy[index] ?? 0) ^ flip;
  return copy;
}

describe('any byte', () => {
  const files: [name: string, place: Place, checks: string[]][] = [
    ['graph', { round: 0 }, ['graph']],
    ['model 0', { round: 0 }, ['model file']],
    ['model 1', { round: 1 }, ['model file']],
    ['model 2', { round: 2 }, ['model file']],
  ];
  test.each(files)('of the file of %s is found there', async (name, place, checks) => {
    const file = honest.archived[name] ?? '';
    const original = await honest.archive.get(file);
    await fc.assert(
      fc.asyncProperty(fc.record(bit), async (where) => {
        honest.archive.corrupt(file, () => changed(original, where));
        const wrong = await audit();
        expect(checks).toContain(wrong?.check);
        expect(wrong?.place).toEqual({ job: honest.job, ...place });
      }),
      { numRuns: 40 },
    );
    honest.archive.corrupt(file, () => original);
  });

  // Of what a manifest measured (seconds, losses) nothing is hashed; Arweave's data root covers it (test/cli/verify).
  test.each(['manifest 0', 'manifest 1', 'manifest 2'])(
    'of the hashed part of %s is found there',
    async (name) => {
      const file = honest.archived[name] ?? '';
      const original = await honest.archive.get(file);
      const text = new TextDecoder().decode(original);
      const end = text.indexOf(',"measured":');
      await fc.assert(
        fc.asyncProperty(fc.record(bit), async ({ at, flip }) => {
          honest.archive.corrupt(file, () => changed(original, { at: at % end, flip }));
          const wrong = await audit();
          expect([wrong?.check, wrong?.place]).toEqual([
            'manifest',
            { job: honest.job, round: Number(name.at(-1)) },
          ]);
        }),
        { numRuns: 40 },
      );
      honest.archive.corrupt(file, () => original);
    },
  );

  test('of an update is found in its round, and its runner is named', async () => {
    const updates = [...honest.updates];
    await fc.assert(
      fc.asyncProperty(fc.nat(updates.length - 1), fc.record(bit), async (index, where) => {
        const [root, original] = updates[index] ?? ['0x' as Hex, new Uint8Array()];
        honest.updates.set(root, changed(original, where));
        const wrong = await audit();
        honest.updates.set(root, original);
        const runner = honest.runners[index % 3]?.address.toLowerCase();
        expect(wrong).toMatchObject({
          check: 'sum',
          place: { job: honest.job, round: 1 + Math.floor(index / 3), runner },
        });
      }),
      { numRuns: 80 },
    );
  });

  test('of the tree (roots of sums and updates, signatures, samples, weights) leads to another root', async () => {
    const places = manifest.headers.flatMap((_, i) => [
      (round: typeof manifest) => fieldOf(round, i, 'updateRoot'),
      (round: typeof manifest) => fieldOf(round, i, 'signature'),
      (round: typeof manifest) => fieldOf(round, i, 'runner'),
    ]);
    const ofSums = (round: typeof manifest) => ({
      get: () => round.sumRoots[0]?.[0] ?? '0x',
      set: (value: Hex) => void (round.sumRoots = [[value]]),
    });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...places, ofSums), fc.record(bit), async (field, where) => {
        const round = structuredClone(manifest);
        const { get, set } = field(round);
        set(toHex(changed(fromHex(get()), where)));
        expect(await treeOf(round)).toBe('aggregation tree');
      }),
      { numRuns: 200 },
    );
    for (const field of ['samples', 'weight', 'index'] as const) {
      const round = structuredClone(manifest);
      const [, header] = round.headers;
      if (header) header[field] += 1;
      expect(await treeOf(round)).toBe('aggregation tree');
    }
  });

  test('of a signature, or of what it signs, is found and its runner named', async () => {
    const fields = ['updateRoot', 'signature'] as const;
    await fc.assert(
      fc.asyncProperty(fc.nat(2), fc.constantFrom(...fields), fc.record(bit), async (index, name, where) => {
        const round = structuredClone(manifest);
        const { get, set } = fieldOf(round, index, name);
        set(toHex(changed(fromHex(get()), where)));
        const list = new Checklist();
        await expect(checkSignatures(list, 'round', round)).rejects.toThrow(AuditStopped);
        expect(list.checks[0]?.place).toEqual({ runner: manifest.headers[index]?.runner });
      }),
      { numRuns: 60 },
    );
    for (const name of ['samples', 'steps', 'dimension'] as const) {
      const round = structuredClone(manifest);
      const [, header] = round.headers;
      if (header) header[name] += 1;
      await expect(checkSignatures(new Checklist(), 'round', round)).rejects.toThrow(header?.runner);
    }
  });
});

test('headers in any other order, with any missing or doubled, are found', async () => {
  const indices = fc.array(fc.nat(2), { minLength: 0, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(indices, async (order) => {
      const isTrue = order.join() === '0,1,2';
      const headers = order.flatMap((from, index) => {
        const header = manifest.headers[from];
        return header ? [{ ...header, index }] : [];
      });
      const list = new Checklist();
      const dimension = manifest.headers[0]?.dimension ?? 0;
      const checked = checkParticipants(list, 'round', { ...manifest, headers }, dimension);
      await (isTrue ? checked : expect(checked).rejects.toThrow(/0x\w{40}|updates do not make the quorum/));
      expect(list.checks[0]?.ok).toBe(isTrue);
    }),
    { numRuns: 200 },
  );
});

async function treeOf(round: typeof manifest): Promise<string | undefined> {
  const list = new Checklist();
  const sources = { chain, archive: honest.archive, hash: sha256 };
  await expect(checkTree(list, sources, 'round', round, manifest.rootHeader)).rejects.toThrow(AuditStopped);
  return list.checks[0]?.check;
}

function fieldOf(round: typeof manifest, index: number, name: 'updateRoot' | 'signature' | 'runner') {
  const header = round.headers[index];
  if (!header) throw new Error(`there is no header ${index}`);
  return { get: () => header[name], set: (value: Hex) => void (header[name] = value) };
}

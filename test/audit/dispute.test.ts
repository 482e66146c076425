import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { accuse, type Accusation } from '#audit/dispute.js';
import { chunkOf, updateChunks } from '#audit/evidence.js';
import { fileAccusation } from '#audit/report.js';
import type { Hex } from '#core/hex.js';
import { LEAF } from '#core/merkle.js';
import { chainCalls } from '#services/chainCalls.js';
import { sha256 } from '#services/sha256.js';
import type { ChainStack } from '#test/services/chainStack.js';
import { closeRandomRound } from '#test/contracts/randomRound.js';
import { sourcesOf, startCourt, stranger } from './court.js';
import { writeHistory } from './history.js';
import { runnersOf } from './signing.js';

/** How each lie is found and convicted is in test/cli/watch.test.ts. */
let stack: ChainStack;
beforeAll(async () => {
  stack = await startCourt(runnersOf(17));
});
afterAll(() => stack.stop());

describe('an honest coordinator', () => {
  test('has nothing that a watcher would report', async () => {
    const honest = await writeHistory(stack, 'honest');
    for (const round of [1, 2])
      expect(await accuse(sourcesOf(stack, honest), honest.job, round)).toEqual({
        accusations: [],
        unknown: [],
      });
  });

  test('is accused of nothing by whoever has no updates, and who says so', async () => {
    const honest = await writeHistory(stack, 'honest too');
    const { updateSource: _, ...sources } = sourcesOf(stack, honest);
    expect(await accuse(sources, honest.job, 2)).toEqual({
      accusations: [],
      unknown: ['the sum: no updates are at hand'],
    });
  });

  test('is not hurt by evidence that shows nothing wrong, nor by evidence that is not of the round', async () => {
    const { chain } = stack;
    const { place, sum, updates } = await honestSum('accused in vain');
    const { sums } = chainCalls(stack.deployment).judges;
    await expect(file(sums.wrongSum(place, sum, updates))).rejects.toMatchObject({
      details: { error: 'NothingWrong' },
    });
    const falsified = updates.map((update, i) =>
      i === 0 ? { ...update, values: `${update.values.slice(0, -2)}01` as Hex } : update,
    );
    await expect(file(sums.wrongSum(place, sum, falsified))).rejects.toMatchObject({
      details: { error: 'WrongChunk' },
    });
    expect(await chain.escrow(place.job)).toMatchObject({ phase: 'running', bond: 4_000n });
  });
});

test('a wrong median over more than 16 runners is said, although nobody can be convicted for it', async () => {
  const robust = { rule: 'median' } as const;
  const honest = await writeHistory(stack, 'seventeen', {}, { robust, runners: 17 });
  expect(await accuse(sourcesOf(stack, honest), honest.job, 2)).toEqual({ accusations: [], unknown: [] });
  const lie = { sum: (values: Float64Array) => void (values[3] = 0) };
  const lying = await writeHistory(stack, 'not seventeen', lie, { robust, runners: 17 });
  expect(await accuse(sourcesOf(stack, lying), lying.job, 2)).toEqual({
    accusations: [],
    unknown: [],
    undisputable: ['the median of node 0 of level 1 is not that of the updates'],
  });
});

test('a report can be made only by whoever committed to it', async () => {
  const { chain } = stack;
  const lying = await writeHistory(stack, 'copied', {
    params: (params) => void (params[3] = (params[3] ?? 0) + 1),
  });
  const {
    accusations: [accusation],
  } = await accuse(sourcesOf(stack, lying), lying.job, 2);
  if (!accusation) throw new Error('Nothing was found wrong.');
  const copier = stack.sender(stack.founder);
  await expect(copier.send('copied', accusation.call)).rejects.toMatchObject({
    details: { error: 'NotCommitted' },
  });
  await fileAccusation(chain, stack.sender(stranger), accusation);
  await expect(fileAccusation(chain, copier, accusation)).rejects.toMatchObject({
    details: { error: 'NotClosed' },
  });
});

const file = (call: Accusation['call']) =>
  fileAccusation(stack.chain, stack.sender(stranger), { what: '', kind: 'report', call });

/** An honest round of three runners and one chunk, with what shows its sum. */
async function honestSum(name: string) {
  const { evidence, updates, sums } = await closeRandomRound(stack, name, {
    runners: 3,
    dimension: 64,
    seed: 5,
  });
  return {
    place: evidence.place({ level: 0, index: 0 }),
    sum: chunkOf(sha256, LEAF.sum, sums[0]?.[0] ?? new Float64Array(), 0),
    updates: updateChunks(sha256, evidence, 0, updates, 0),
  };
}

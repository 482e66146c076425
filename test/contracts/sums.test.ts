import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sumJudgeAbi } from '#contracts/generated/SumJudge.js';
import { typedContract, type ChainCall } from '#contracts/typed.js';
import { LEAF, leafCount } from '#core/merkle.js';
import { chunkOf, sumChunks, updateChunks } from '#audit/evidence.js';
import { fileAccusation } from '#audit/report.js';
import { chainCalls } from '#services/chainCalls.js';
import { sha256 } from '#services/sha256.js';
import { admitMember, startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { closeRandomRound, generator, type Lie, type RandomRound, type Shape } from './randomRound.js';

let stack: ChainStack;
let judge: ReturnType<typeof judgeOf>;
const judgeOf = ({ deployment, chain }: ChainStack) =>
  typedContract(sumJudgeAbi, deployment.judges.sums, chain.provider);

beforeAll(async () => {
  stack = await startChainStack();
  judge = judgeOf(stack);
  await admitMember(stack, stack.member, { name: 'm', tokens: 10n ** 9n });
});
afterAll(() => stack.stop());

/** One round each of many shapes: one runner, a full node, two levels, three; one value, full chunks, a short last one. */
const shapes: Shape[] = [
  { runners: 1, dimension: 1, seed: 1 },
  { runners: 2, dimension: 64, seed: 2, rate: { numerator: 1, denominator: 2 } },
  { runners: 16, dimension: 65, seed: 3, momentum: { numerator: 9, denominator: 10 } },
  { runners: 17, dimension: 200, seed: 4, rate: { numerator: 1_048_575, denominator: 1_048_576 } },
  { runners: 40, dimension: 129, seed: 5, momentum: { numerator: 0, denominator: 1 } },
  { runners: 130, dimension: 70, seed: 6, rate: { numerator: 3, denominator: 1_048_573 } },
];

describe('an honest round', () => {
  test.each(shapes)('of $runners runners and $dimension values is right in every chunk', async (shape) => {
    const round = await closeRandomRound(stack, 'honest', shape);
    for (let chunk = 0; chunk < leafCount(shape.dimension); chunk++) {
      expect(await everyNodeHolds(round, chunk)).toBe(true);
      expect(await stepHolds(round, chunk)).toBe(true);
    }
  });
});

describe('one wrong value at a random place', () => {
  const random = generator(99);
  const cases = Array.from({ length: 12 }, (_, i) => ({
    i,
    shape: shapeOf(i),
    at: random(),
    by: i % 2 === 0 ? 1 : -1,
  }));

  test.each(cases)('of a sum is found, and only in its chunk ($i)', async ({ shape, at, by }) => {
    const { round, place, position } = await withLie(shape, at, (sums, node, value) => {
      const sum = sums[node.level]?.[node.index];
      if (sum) sum[value] = (sum[value] ?? 0) + by;
    });
    for (let chunk = 0; chunk < leafCount(shape.dimension); chunk++)
      expect(await nodeHolds(round, place, chunk)).toBe(chunk !== Math.floor(position / 64));
  });

  test.each(cases)('of the new parameters or the velocity is found ($i)', async ({ shape, at, by, i }) => {
    const position = Math.floor(at * shape.dimension);
    const change = (values: Int32Array) => void (values[position] = (values[position] ?? 0) + by);
    const lie: Lie = shape.momentum && i % 3 === 0 ? { velocity: change } : { params: change };
    const round = await closeRandomRound(stack, 'wrong step', shape, lie);
    for (let chunk = 0; chunk < leafCount(shape.dimension); chunk++)
      expect(await stepHolds(round, chunk)).toBe(chunk !== Math.floor(position / 64));
  });

  test('a weight that is not the committed one is refused', async () => {
    const shape = { runners: 16, dimension: 65, seed: 300 };
    const honest = await closeRandomRound(stack, 'weights', shape);
    const place = honest.evidence.place({ level: 0, index: 0 });
    const sums = chunkOf(sha256, LEAF.sum, honest.sums[0]?.[0] ?? new Float64Array(), 0);
    const chunks = updateChunks(sha256, honest.evidence, 0, honest.updates, 0);
    const swapped = chunks.map((chunk, i) =>
      i === 3 ? { ...chunk, header: { ...chunk.header, weight: chunk.header.weight + 1n } } : chunk,
    );
    await expect(judge.read.sumHolds(place, sums, swapped)).rejects.toMatchObject({
      code: 'CALL_EXCEPTION',
    });
  });
});

describe('the shape of the tree', () => {
  test.each([1, 16, 17, 128, 129, 300])('of %i runners is accepted at every node', async (runners) => {
    const round = await closeRandomRound(stack, 'shape', {
      runners,
      dimension: 2,
      seed: runners,
      same: true,
    });
    const { leaves } = chainCalls(stack.deployment).judges;
    for (const [level, nodes] of round.evidence.levels.entries())
      for (const index of nodes.keys())
        await expect(file(leaves.malformed(round.evidence.place({ level, index })))).rejects.toMatchObject({
          details: { error: 'NothingWrong' },
        });
  });

  const shape = { runners: 18, dimension: 2, seed: 1, same: true };
  test.each([
    ['counts one runner more', 'below', { count: 19n }],
    ['has a weight that no round can have', 'malformed', { weight: 2n ** 22n + 1n }],
    ['has another weight than its children', 'upper', { weight: 12_345n }],
  ] as const)('whose root %s is found', async (name, how, change) => {
    let root: ReturnType<RandomRound['evidence']['node']> | undefined;
    const round = await closeRandomRound(stack, name, shape, {
      root: (honest) => (root = { ...honest, ...change }),
    });
    const { evidence, sums } = round;
    if (!root) throw new Error('There was no root.');
    const top = { level: 1, index: 0 };
    const place = { ...evidence.place(top), path: [root] };
    // The root is shaped as it says; it is the last bottom node that has a runner too few for it.
    const bottom = evidence.place({ level: 0, index: 1 });
    const below = { ...bottom, path: [root, ...bottom.path.slice(1)] };
    const { judges } = chainCalls(stack.deployment);
    const sum = chunkOf(sha256, LEAF.sum, sums[1]?.[0] ?? new Float64Array(), 0);
    await file(
      how === 'upper'
        ? judges.sums.wrongUpperSum(place, sum, sumChunks(sha256, evidence, top, sums[0] ?? [], 0))
        : judges.leaves.malformed(how === 'below' ? below : place),
    );
    expect(await stack.chain.escrow(round.job)).toMatchObject({ phase: 'convicted' });
  });
});

test('chunks of another place, shortened proofs and foreign values are refused, not judged', async () => {
  const shape = { runners: 3, dimension: 200, seed: 400 };
  const round = await closeRandomRound(stack, 'borders', shape);
  const place = round.evidence.place({ level: 0, index: 0 });
  const sum = chunkOf(sha256, LEAF.sum, round.sums[0]?.[0] ?? new Float64Array(), 1);
  const chunks = updateChunks(sha256, round.evidence, 0, round.updates, 1);
  const [first, ...others] = chunks;
  const elsewhere = updateChunks(sha256, round.evidence, 0, round.updates, 2)[0];
  if (!first || !elsewhere) throw new Error('The round has no runners.');
  const refused = async (...inputs: Parameters<typeof judge.read.sumHolds>) =>
    expect(judge.read.sumHolds(...inputs)).rejects.toMatchObject({ code: 'CALL_EXCEPTION' });
  expect(await judge.read.sumHolds(place, sum, chunks)).toBe(true);
  await refused(place, { ...sum, index: 2n }, chunks);
  await refused(place, { ...sum, index: 4n }, chunks);
  await refused(place, { ...sum, proof: sum.proof.slice(1) }, chunks);
  await refused(place, { ...sum, values: `${sum.values}00` }, chunks);
  await refused(place, sum, [elsewhere, ...others]);
  await refused(place, sum, [{ ...first, proof: first.proof.slice(1) }, ...others]);
  await refused(place, sum, others);
  await refused({ ...place, turns: [0n] }, sum, chunks);
  await refused({ ...place, round: 2n }, sum, chunks);
});

const file = (call: ChainCall) =>
  fileAccusation(stack.chain, stack.sender(stack.founder), { what: '', kind: 'report', call });

async function everyNodeHolds(round: RandomRound, chunk: number): Promise<boolean> {
  for (const [level, nodes] of round.evidence.levels.entries())
    for (const index of nodes.keys()) if (!(await nodeHolds(round, { level, index }, chunk))) return false;
  return true;
}

function nodeHolds(
  { evidence, updates, sums }: RandomRound,
  name: { level: number; index: number },
  chunk: number,
): Promise<boolean> {
  const place = evidence.place(name);
  const values = sums[name.level]?.[name.index] ?? new Float64Array();
  const sum = chunkOf(sha256, LEAF.sum, values, chunk);
  if (name.level === 0)
    return judge.read.sumHolds(place, sum, updateChunks(sha256, evidence, name.index, updates, chunk));
  const below = sums[name.level - 1] ?? [];
  return judge.read.upperSumHolds(place, sum, sumChunks(sha256, evidence, name, below, chunk));
}

function stepHolds(round: RandomRound, chunk: number): Promise<boolean> {
  return judge.read.stepHolds(...round.stepEvidence(chunk));
}

function shapeOf(i: number): Shape {
  return { ...(shapes[i % shapes.length] ?? { runners: 1, dimension: 1 }), seed: 100 + i };
}

/** A round in which one value of one node's sum is wrong, and all above it is added from the wrong one. */
async function withLie(
  shape: Shape,
  at: number,
  change: (sums: Float64Array[][], node: { level: number; index: number }, value: number) => void,
) {
  const position = Math.floor(at * shape.dimension);
  let place = { level: 0, index: 0 };
  const round = await closeRandomRound(stack, 'wrong sum', shape, {
    sums: (sums) => {
      const level = Math.floor(at * 7919) % sums.length;
      place = { level, index: Math.floor(at * 104_729) % (sums[level]?.length ?? 1) };
      change(sums, place, position);
    },
  });
  return { round, place, position };
}

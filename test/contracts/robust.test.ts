import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { chunkOf, sumChunks, updateChunks } from '#audit/evidence.js';
import { fileAccusation } from '#audit/report.js';
import { robustJudgeAbi } from '#contracts/generated/RobustJudge.js';
import { sumJudgeAbi } from '#contracts/generated/SumJudge.js';
import { typedContract, type ChainCall } from '#contracts/typed.js';
import { LEAF, leafCount } from '#core/merkle.js';
import type { RobustRule } from '#core/robustRule.js';
import { chainCalls } from '#services/chainCalls.js';
import { sha256 } from '#services/sha256.js';
import { addressOf, startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { closeRandomRound, type RandomRound, type Shape } from './randomRound.js';

/** Rounds under robust rules as TypeScript makes them, before the contracts; forge has single values (Robust.t.sol). */
let stack: ChainStack;
beforeAll(async () => {
  stack = await startChainStack();
  const { calls, founder, member, deployment } = stack;
  await stack.sender(founder).send('member', calls.consortium.addMember(addressOf(member), 'm', ''));
  await stack.sender(founder).send('tokens', calls.token.transfer(addressOf(member), 10n ** 9n));
  await stack.sender(member).send('approve', calls.token.approve(deployment.jobs, 10n ** 9n));
});
afterAll(() => stack.stop());

const median: RobustRule = { rule: 'median' };
const trimmed = (percent: number): RobustRule => ({ rule: 'trimmed-mean', percent });
const momentum = { numerator: 9, denominator: 10 };
const shapes: (Shape & { robust: RobustRule })[] = [
  { runners: 1, dimension: 1, seed: 1, robust: median },
  { runners: 2, dimension: 64, seed: 2, robust: median, rate: { numerator: 1, denominator: 2 } },
  { runners: 10, dimension: 130, seed: 3, robust: trimmed(20), momentum },
  { runners: 15, dimension: 65, seed: 4, robust: median, momentum },
  { runners: 16, dimension: 200, seed: 5, robust: trimmed(49) },
  { runners: 16, dimension: 70, seed: 6, robust: trimmed(1) },
];

describe('an honest round', () => {
  test.each(shapes)('of $runners runners and $dimension values is right in every chunk', async (shape) => {
    const round = await closeRandomRound(stack, 'honest', shape);
    for (let chunk = 0; chunk < leafCount(shape.dimension); chunk++) {
      expect(await bottomHolds(round, 0, chunk)).toBe(true);
      expect(await sumJudge().read.stepHolds(...round.stepEvidence(chunk))).toBe(true);
    }
    await expect(file(wrongRobustSum(round, 0))).rejects.toMatchObject({
      details: { error: 'NothingWrong' },
    });
  });
});

describe('one wrong value', () => {
  test.each(shapes)('of $runners runners and $dimension values convicts', async (shape) => {
    const at = Math.floor(0.7 * shape.dimension);
    const round = await closeRandomRound(stack, 'wrong', shape, {
      sums: (levels) => {
        const sum = levels[0]?.[0];
        // Towards zero: a sum beyond what its weights allow would be refused before the chain sees it.
        const value = sum?.[at] ?? 0;
        if (sum) sum[at] = value > 0 ? value - 1 : value + 1;
      },
    });
    const [place, sum, updates] = evidenceOf(round, Math.floor(at / 64));
    // The judge of weighted sums has no part in it.
    const { sums } = chainCalls(stack.deployment).judges;
    await expect(file(sums.wrongSum(place, sum, updates))).rejects.toMatchObject({
      details: { error: 'NothingWrong' },
    });
    await file(wrongRobustSum(round, Math.floor(at / 64)));
    expect(await stack.chain.escrow(round.job)).toMatchObject({ phase: 'convicted', bond: 0n });
  });
});

describe('a round of more than 16 runners', () => {
  const shape = { runners: 18, dimension: 70, seed: 9, robust: median };

  test('is right in every bottom node and every step, and nobody can be asked how its root came about', async () => {
    const round = await closeRandomRound(stack, 'above', shape);
    for (const node of [0, 1]) expect(await bottomHolds(round, node, 1)).toBe(true);
    expect(await sumJudge().read.stepHolds(...round.stepEvidence(1))).toBe(true);
    const { evidence, sums } = round;
    const { judges } = chainCalls(stack.deployment);
    const root = evidence.place(evidence.rootName);
    const asked = { ...judges.data.askChunk(root, 0n), value: 10n ** 16n };
    await expect(stack.sender(stack.founder).send('ask', asked)).rejects.toMatchObject({
      details: { error: 'NothingWrong' },
    });
    const top = chunkOf(sha256, LEAF.sum, sums[1]?.[0] ?? new Float64Array(), 0);
    const parts = sumChunks(sha256, evidence, evidence.rootName, sums[0] ?? [], 0);
    await expect(file(judges.sums.wrongUpperSum(root, top, parts))).rejects.toMatchObject({
      details: { error: 'NothingWrong' },
    });
  });

  test('convicts for a wrong bottom node', async () => {
    const round = await closeRandomRound(stack, 'below', shape, {
      sums: (levels) => void levels[0]?.[1]?.fill(0, 69),
    });
    expect(await bottomHolds(round, 1, 0)).toBe(true);
    expect(await bottomHolds(round, 1, 1)).toBe(false);
  });
});

test('evidence of another place, shortened proofs and foreign values are refused, not judged', async () => {
  const round = await closeRandomRound(stack, 'borders', {
    runners: 3,
    dimension: 200,
    seed: 40,
    robust: median,
  });
  const [place, sum, chunks] = evidenceOf(round, 1);
  const [first, ...others] = chunks;
  const elsewhere = evidenceOf(round, 2)[2][0];
  if (!first || !elsewhere) throw new Error('The round has no runners.');
  await refused(place, { ...sum, index: 2n }, chunks);
  await refused(place, { ...sum, proof: sum.proof.slice(1) }, chunks);
  await refused(place, { ...sum, values: `${sum.values}00` }, chunks);
  await refused(place, sum, [elsewhere, ...others]);
  await refused(place, sum, [{ ...first, values: '0x' }, ...others]);
  await refused(place, sum, others);
  await refused({ ...place, turns: [0n] }, sum, chunks);
});

const refused = async (...inputs: Parameters<ReturnType<typeof robustJudge>['read']['sumHolds']>) =>
  expect(robustJudge().read.sumHolds(...inputs)).rejects.toMatchObject({ code: 'CALL_EXCEPTION' });

const robustJudge = () => typedContract(robustJudgeAbi, stack.deployment.judges.robust, stack.chain.provider);
const sumJudge = () => typedContract(sumJudgeAbi, stack.deployment.judges.sums, stack.chain.provider);

const file = (call: ChainCall) =>
  fileAccusation(stack.chain, stack.sender(stack.founder), { what: '', kind: 'report', call });

function wrongRobustSum(round: RandomRound, chunk: number): ChainCall {
  return chainCalls(stack.deployment).judges.robust.wrongRobustSum(...evidenceOf(round, chunk));
}

function bottomHolds(round: RandomRound, node: number, chunk: number): Promise<boolean> {
  return robustJudge().read.sumHolds(...evidenceOf(round, chunk, node));
}

function evidenceOf({ evidence, updates, sums }: RandomRound, chunk: number, node = 0) {
  return [
    evidence.place({ level: 0, index: node }),
    chunkOf(sha256, LEAF.sum, sums[0]?.[node] ?? new Float64Array(), chunk),
    updateChunks(sha256, evidence, node, updates, chunk),
  ] as const;
}

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { id, Wallet } from 'ethers';
import { rowAt } from '#audit/bisection.js';
import { chunkOf, sumChunks, updateChunks, type NodeName } from '#audit/evidence.js';
import { fileAccusation } from '#audit/report.js';
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { typedContract, type ChainCall } from '#contracts/typed.js';
import { fromHex, toHex } from '#core/hex.js';
import { LEAF, leafCount, treeDepth, valuesTree, type MerkleTree } from '#core/merkle.js';
import { chainCalls } from '#services/chainCalls.js';
import { sha256 } from '#services/sha256.js';
import { admitMember, giveEther, startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { closeRandomRound, type RandomRound, type Shape } from './randomRound.js';

const stranger = new Wallet(id('a stranger'));
let stack: ChainStack;
let judge: ReturnType<typeof judgeOf>;
let price: bigint;
const judgeOf = ({ deployment, chain }: ChainStack) =>
  typedContract(dataJudgeAbi, deployment.judges.data, chain.provider);

beforeAll(async () => {
  stack = await startChainStack();
  judge = judgeOf(stack);
  price = await judge.read.bond();
  await giveEther(stack.anvil, stranger);
  await admitMember(stack, stack.member, { name: 'm', tokens: 10n ** 6n });
});
afterAll(() => stack.stop());

/** One chunk and many, one level of nodes and two, both rules. */
const shapes: Shape[] = [
  { runners: 1, dimension: 1, seed: 1 },
  { runners: 3, dimension: 64 * 300 + 1, seed: 2, momentum: { numerator: 9, denominator: 10 } },
  { runners: 18, dimension: 130, seed: 3 },
];

describe('every question that can be asked about an honest round has an answer', () => {
  test.each(shapes)('of $runners runners and $dimension values', async (shape) => {
    const round = await closeRandomRound(stack, 'answered', shape);
    for (const { ask, answer } of questions(round, shape)) {
      await send(ask, price);
      const before = await stack.anvil.provider.getBalance(stack.member.address);
      await send(answer);
      expect((await stack.anvil.provider.getBalance(stack.member.address)) - before).toBe(price);
    }
    await passWindow();
    expect(await stack.chain.isFinal(round.job, 1)).toBe(true);
  });
});

describe('what nobody could answer cannot be asked', () => {
  test.each(shapes)('of $runners runners and $dimension values', async (shape) => {
    const round = await closeRandomRound(stack, 'unanswerable', shape);
    const { evidence } = round;
    const root = evidence.place(evidence.rootName);
    const bottom = evidence.place({ level: 0, index: 0 });
    const chunks = BigInt(leafCount(shape.dimension));
    const height = BigInt(treeDepth(Number(chunks)));
    const levels = evidence.levels.length;
    const refused: [ChainCall, string][] = [
      [judge.call.askNode(bottom, 0n), 'WrongPath'],
      [judge.call.askLeaf(bottom, BigInt(bottom.path.at(-1)?.children.length ?? 0)), 'WrongPath'],
      [judge.call.askChunk(bottom, chunks), 'LeafOutOfRange'],
      [judge.call.askStep(root, chunks), 'LeafOutOfRange'],
      ...[0n, 1n].flatMap((tree): [ChainCall, string][] => [
        [judge.call.askNodes(bottom, { tree, height: 0n, index: 0n }), 'LeafOutOfRange'],
        [judge.call.askNodes(bottom, { tree, height: height + 1n, index: 0n }), 'LeafOutOfRange'],
        [judge.call.askNodes(bottom, { tree, height: 255n, index: 0n }), 'LeafOutOfRange'],
        [judge.call.askNodes(bottom, { tree, height, index: 1n }), 'LeafOutOfRange'],
      ]),
    ];
    if (levels > 1)
      refused.push(
        [judge.call.askLeaf(root, 0n), 'WrongPath'],
        [judge.call.askNode(root, BigInt(root.path[0]?.children.length ?? 0)), 'WrongPath'],
        [judge.call.askStep(bottom, 0n), 'WrongPath'],
      );
    for (const [call, error] of refused)
      await expect(send(call, price)).rejects.toMatchObject({ details: { error } });
    await passWindow();
    expect(await stack.chain.isFinal(round.job, 1)).toBe(true);
  });

  test('of a step that no contract recomputes', async () => {
    const round = await closeRandomRound(stack, 'attested only', { ...small, seed: 9, rule: 0 });
    const root = round.evidence.place(round.evidence.rootName);
    await expect(send(judge.call.askStep(root, 0n), price)).rejects.toMatchObject({
      details: { error: 'NothingWrong' },
    });
  });

  test('twice, without its bond, or when the window is over', async () => {
    const { job } = await closeRandomRound(stack, 'once', { ...small, seed: 10 });
    const ask = judge.call.askRoot(job, 1n);
    await expect(send(ask, price - 1n)).rejects.toMatchObject({ details: { error: 'BondWrong' } });
    await send(ask, price);
    await expect(send(ask, price)).rejects.toMatchObject({ details: { error: 'AskedBefore' } });
    await passWindow();
    await expect(send(judge.call.askOpening(job, 1n), price)).rejects.toMatchObject({
      details: { error: 'WindowPassed' },
    });
  });
});

const small = { runners: 18, dimension: 70 };
const kinds = ['askRoot', 'askNode', 'askLeaf', 'askChunk', 'askStep', 'askNodes', 'askOpening'] as const;
describe('silence convicts', () => {
  test.each(kinds.map((kind, i) => ({ kind, seed: 20 + i })))('after $kind', async ({ kind, seed }) => {
    const round = await closeRandomRound(stack, 'silent', { ...small, seed });
    const asked = questions(round, { ...small, seed }).find(({ name }) => name === kind);
    if (!asked) throw new Error('There is no such question.');
    const sent = await send(asked.ask, price);
    await passWindow();
    const [log] = await stack.chain.provider.getLogs({
      address: judge.address,
      topics: judge.topics('Asked', {}) as string[],
      fromBlock: sent.block,
    });
    if (!log) throw new Error('Nothing was asked.');
    await send(judge.call.expire(judge.parse('Asked', log).args.question));
    expect(await stack.chain.escrow(round.job)).toMatchObject({ phase: 'convicted', bond: 0n });
    await expect(send(asked.answer)).rejects.toMatchObject({ details: { error: 'NotAsked' } });
  });
});

describe('a wrong answer is none', () => {
  test('to each kind of question', async () => {
    const shape = { ...small, seed: 40 };
    const round = await closeRandomRound(stack, 'answered wrongly', shape);
    const other = await closeRandomRound(stack, 'answered wrongly', { ...shape, seed: 41 });
    const [own, foreign] = [questions(round, shape), questions(other, shape)];
    for (const [i, { ask, wrong }] of own.entries()) {
      await send(ask, price);
      // The answer to the same question about another round is refused, as is one that was changed.
      await expect(send(foreign[i]?.answer ?? ask)).rejects.toMatchObject({ details: { error: 'NotAsked' } });
      await expect(send(wrong)).rejects.toMatchObject({
        details: { error: expect.stringMatching(/WrongPreimage|AnswerWrong|WrongChunk/) },
      });
    }
  });
});

describe('a version that does not follow is convicted', () => {
  const lies = {
    'another graph': { graphHash: id('elsewhere') },
    'another grid': { stepsHash: id('elsewhere') },
    'other parameters than its closing': { paramsRoot: id('elsewhere') },
    'a state that its rule does not keep': { stateRoot: id('elsewhere') },
  };
  test.each(Object.entries(lies))('with %s', async (name, change) => {
    const honest = await closeRandomRound(stack, `${name} honest`, { ...small, seed: 50 });
    await expect(report(wrongVersion(honest))).rejects.toMatchObject({ details: { error: 'NothingWrong' } });
    const lying = await closeRandomRound(
      stack,
      name,
      { ...small, seed: 51 },
      { version: (version) => void Object.assign(version, change) },
    );
    await report(wrongVersion(lying));
    expect(await stack.chain.escrow(lying.job)).toMatchObject({ phase: 'convicted' });
  });
});

function wrongVersion(round: RandomRound): ChainCall {
  const [place, , step] = round.stepEvidence(0);
  const { sums } = chainCalls(stack.deployment).judges;
  return sums.wrongVersion(round.job, 1n, place.closing, step.before, step.base, step.version);
}

/** One question of each kind with its answer, and with an answer in which one thing was changed. */
function questions(round: RandomRound, shape: Shape) {
  const { evidence, updates, sums, job, opened, openHash } = round;
  const { call } = judge;
  const bottom: NodeName = { level: 0, index: evidence.levels[0]?.length === 1 ? 0 : 1 };
  const place = evidence.place(bottom);
  const root = evidence.place(evidence.rootName);
  const chunk = leafCount(shape.dimension) - 1;
  const first = 16 * bottom.index;
  const leaf = evidence.leaf(first);
  const signature = evidence.facts.headers[first]?.signature ?? '0x';
  const sum = chunkOf(sha256, LEAF.sum, sums[0]?.[bottom.index] ?? new Float64Array(), chunk);
  const chunks = updateChunks(sha256, evidence, bottom.index, updates, chunk);
  const [, top, step] = round.stepEvidence(chunk);
  const badSum = { ...sum, proof: sum.proof, values: `0x01${sum.values.slice(4)}` as const };
  const { opening } = opened;
  const list = [
    {
      name: 'askRoot',
      ask: call.askRoot(job, 1n),
      answer: call.answerRoot(job, 1n, root.closing, evidence.node(evidence.rootName)),
      wrong: call.answerRoot(job, 1n, root.closing, { ...evidence.node(evidence.rootName), weight: 1n }),
    },
    {
      name: 'askLeaf',
      ask: call.askLeaf(place, 0n),
      answer: call.answerLeaf(place, 0n, leaf, signature, 7n, opened.previous, openHash),
      wrong: call.answerLeaf(place, 0n, leaf, signature, 8n, opened.previous, openHash),
    },
    {
      name: 'askChunk',
      ask: call.askChunk(place, BigInt(chunk)),
      answer: call.answerChunk(place, sum, chunks),
      wrong: call.answerChunk(place, badSum, chunks),
    },
    {
      name: 'askStep',
      ask: call.askStep(root, BigInt(chunk)),
      answer: call.answerStep(root, top, step),
      wrong: call.answerStep(root, top, { ...step, newParams: `0x01${step.newParams.slice(4)}` }),
    },
    {
      name: 'askOpening',
      ask: call.askOpening(job, 1n),
      answer: call.answerOpening(job, 1n, opened.previous, opening),
      wrong: call.answerOpening(job, 1n, opened.previous, { ...opening, shift: opening.shift + 1n }),
    },
  ];
  if (evidence.levels.length > 1) {
    const above = sums[0] ?? [];
    const parts = sumChunks(sha256, evidence, evidence.rootName, above, chunk);
    list.push(
      {
        name: 'askNode',
        ask: call.askNode(root, 1n),
        answer: call.answerNode(root, 1n, evidence.node({ level: 0, index: 1 })),
        wrong: call.answerNode(root, 1n, evidence.node({ level: 0, index: 0 })),
      },
      {
        name: 'askUpperChunk',
        ask: call.askChunk(root, BigInt(chunk)),
        answer: call.answerUpperChunk(root, top, parts),
        wrong: call.answerUpperChunk(root, { ...top, values: `0x01${top.values.slice(4)}` }, parts),
      },
    );
  }
  const trees = [
    valuesTree(sha256, LEAF.sum, sums[0]?.[bottom.index] ?? new Float64Array()),
    paramsTree(round, shape),
  ];
  for (const [kind, tree] of trees.entries())
    for (const inner of inners(tree)) {
      const answer = nodesOf(tree, inner);
      const named = { tree: BigInt(kind), height: BigInt(inner.height), index: BigInt(inner.index) };
      list.push({
        name: 'askNodes',
        ask: call.askNodes(place, named),
        answer: call.answerNodes(place, named, ...answer),
        wrong: call.answerNodes(place, named, [...answer[0].slice(1), openHash], answer[1]),
      });
    }
  return list;
}

/** The root of a tree, and its last node of every height: where nodes are missing on the right. */
function inners(tree: MerkleTree): { height: number; index: number }[] {
  const depth = treeDepth(tree.count);
  return Array.from({ length: depth }, (_, i) => ({
    height: i + 1,
    index: Math.ceil(tree.count / 2 ** (i + 1)) - 1,
  }));
}

function nodesOf(tree: MerkleTree, { height, index }: { height: number; index: number }) {
  const below = Math.max(0, height - 8);
  const span = 2 ** (height - below);
  const nodes = rowAt(sha256, tree, below).slice(index * span, (index + 1) * span);
  const proof = tree.proof(index * 2 ** height).slice(height);
  return [nodes, proof.map(toHex)] as const;
}

function paramsTree(round: RandomRound, { dimension }: Shape): MerkleTree {
  const bytes = Array.from({ length: leafCount(dimension) }, (_, i) => [
    ...fromHex(round.stepEvidence(i)[2].newParams, 256),
  ]).flat();
  return valuesTree(sha256, LEAF.params, new Int32Array(Uint8Array.from(bytes).buffer).slice(0, dimension));
}

let sends = 0;
function send(call: ChainCall, value?: bigint) {
  return stack.sender(stranger).send(`call ${(sends += 1)}`, value === undefined ? call : { ...call, value });
}

const report = (call: ChainCall) =>
  fileAccusation(stack.chain, stack.sender(stranger), { what: '', kind: 'report', call });

async function passWindow(): Promise<void> {
  await stack.anvil.provider.send('evm_increaseTime', [60]);
  await stack.anvil.provider.send('evm_mine', []);
}

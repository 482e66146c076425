import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Interface, type InterfaceAbi } from 'ethers';
import { answerQuestion } from '#audit/answer.js';
import { nextQuestion, rowAt } from '#audit/bisection.js';
import { accuse } from '#audit/dispute.js';
import { exactSums, type Evidence } from '#audit/evidence.js';
import { loadAccused } from '#audit/accused.js';
import {
  openQuestions,
  questionsOf,
  subjectHash,
  type RoundQuestion,
  type Subject,
} from '#audit/questions.js';
import { fileAccusation } from '#audit/report.js';
import { subjectOf, subjectsOf } from '#audit/subject.js';
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { typedContract, type ChainCall } from '#contracts/typed.js';
import { toHex, type Hex } from '#core/hex.js';
import { LEAF, valuesTree, type MerkleTree } from '#core/merkle.js';
import { chainCalls } from '#services/chainCalls.js';
import { sha256 } from '#services/sha256.js';
import type { ChainStack } from '#test/services/chainStack.js';
import { closeRandomRound } from '#test/contracts/randomRound.js';
import { expire, sourcesOf, startCourt, stranger } from './court.js';
import { writeHistory, type History } from './history.js';

let stack: ChainStack;
beforeAll(async () => {
  stack = await startCourt();
  await writeHistory(stack, 'paid');
});
afterAll(() => stack.stop());

describe('an honest coordinator answers', () => {
  test('whatever can be asked about a round, and wins each bond', async () => {
    const history = await writeHistory(stack, 'asked everything', {}, { rule: 'fedavgm', hidden: 40 });
    const { evidence, dimension } = await roundOf(history);
    const subjects = [...subjectsOf({ evidence, dimension })];
    // Root, opening, three leaves, six chunks and six steps, and the inner nodes over six leaves in both trees.
    expect(subjects).toHaveLength(2 + 3 + 6 + 6 + 2 * 6);
    for (const subject of subjects) await askedAndAnswered(history, evidence, subject);
    expect(await openQuestions(stack.chain)).toEqual([]);
  }, 120_000);

  test('about a round of more runners than one node holds', async () => {
    const history = await writeHistory(stack, 'asked about seventeen', {}, { runners: 17, hidden: 40 });
    const { evidence } = await roundOf(history);
    const subjects: Subject[] = [
      { of: 'node', turns: [], child: 1 },
      { of: 'leaf', turns: [1], child: 0 },
      { of: 'chunk', turns: [], chunk: 5 },
      { of: 'chunk', turns: [0], chunk: 2 },
      { of: 'nodes', turns: [1], tree: 'sum', height: 2, index: 1 },
      { of: 'step', turns: [], chunk: 3 },
    ];
    for (const subject of subjects) await askedAndAnswered(history, evidence, subject);
  }, 60_000);

  test('about a median, at one node and at more', async () => {
    const robust = { rule: 'median' } as const;
    const one = await writeHistory(stack, 'asked about a median', {}, { robust, hidden: 40 });
    const more = await writeHistory(stack, 'medians of seventeen', {}, { robust, runners: 17, hidden: 40 });
    const [single, several] = [await roundOf(one), await roundOf(more)];
    await askedAndAnswered(one, single.evidence, { of: 'chunk', turns: [], chunk: 5 });
    await askedAndAnswered(one, single.evidence, { of: 'step', turns: [], chunk: 0 });
    const subjects: Subject[] = [
      { of: 'chunk', turns: [0], chunk: 2 },
      { of: 'nodes', turns: [], tree: 'sum', height: 2, index: 1 },
      { of: 'step', turns: [], chunk: 3 },
    ];
    for (const subject of subjects) await askedAndAnswered(more, several.evidence, subject);
  }, 60_000);

  test('also where the asking transaction does not show what was asked', async () => {
    const history = await writeHistory(stack, 'asked in hiding', {}, { hidden: 40 });
    const { evidence, dimension } = await roundOf(history);
    const provider = {
      getTransaction: async () => ({ data: '0x1234' }),
    } as unknown as ChainStack['chain']['provider'];
    const asked = { transaction: '0x' as Hex, block: 0 };
    for (const subject of subjectsOf({ evidence, dimension }))
      expect(
        await subjectOf({ provider }, { subject: subjectHash(subject), asked }, { evidence, dimension }),
      ).toEqual(subject);
    const nothing = { subject: subjectHash({ of: 'step', turns: [], chunk: 6 }), asked };
    expect(await subjectOf({ provider }, nothing, { evidence, dimension })).toBeNull();
  });

  test('nothing about a closing that does not stand any more', async () => {
    const history = await writeHistory(stack, 'convicted already', {
      params: (params) => void (params[0] = (params[0] ?? 0) + 1),
    });
    const { chain, deployment } = stack;
    const judge = chainCalls(deployment).judges.data;
    const question = await asked(history, { of: 'root' }, judge.askRoot(history.job, 2n));
    const [accusation] = (await accuse(sourcesOf(stack, history), history.job, 2)).accusations;
    if (!accusation) throw new Error('Nothing was found wrong.');
    await fileAccusation(chain, stack.sender(stranger), accusation);
    expect(await answerQuestion(sourcesOf(stack, history), question, async () => [])).toBeNull();
  });
});

/** Asked by a stranger, answered by the coordinator, who wins the bond. */
async function askedAndAnswered(history: History, evidence: Evidence, subject: Subject): Promise<void> {
  const question = await asked(history, subject, askCall(evidence, subject));
  expect(question).toMatchObject({ challenger: stranger.address.toLowerCase(), answered: false });
  const { member, anvil } = stack;
  const call = await answerQuestion(sourcesOf(stack, history), question, async () => []);
  if (!call) throw new Error('There was no answer.');
  const before = await anvil.provider.getBalance(member.address);
  await stack.sender(member).send(`answer ${question.id}`, call);
  expect((await anvil.provider.getBalance(member.address)) - before).toBeGreaterThan(8n * 10n ** 15n);
}

function askCall(evidence: Evidence, subject: Subject): ChainCall {
  const { data } = chainCalls(stack.deployment).judges;
  const { job, round } = evidence.facts.closing;
  if (subject.of === 'root') return data.askRoot(job, BigInt(round));
  if (subject.of === 'opening') return data.askOpening(job, BigInt(round));
  const place = evidence.place(evidence.nameAt(subject.turns));
  switch (subject.of) {
    case 'node':
      return data.askNode(place, BigInt(subject.child));
    case 'leaf':
      return data.askLeaf(place, BigInt(subject.child));
    case 'chunk':
      return data.askChunk(place, BigInt(subject.chunk));
    case 'step':
      return data.askStep(place, BigInt(subject.chunk));
    case 'nodes': {
      const { tree, height, index } = subject;
      const inner = { tree: tree === 'sum' ? 0n : 1n, height: BigInt(height), index: BigInt(index) };
      return data.askNodes(place, inner);
    }
  }
}

/** The question as it stands on chain. */
async function asked(history: History, subject: Subject, call: ChainCall): Promise<RoundQuestion> {
  await fileAccusation(stack.chain, stack.sender(stranger), { what: '', kind: 'question', call });
  const waiting = await openQuestions(stack.chain);
  const question = waiting.find(
    ({ round, subject: name }) => round.job === history.job && name === subjectHash(subject),
  );
  if (!question) throw new Error('Nothing was asked.');
  return question;
}

async function roundOf(history: History): Promise<{ evidence: Evidence; dimension: number }> {
  const { committed, job } = await loadAccused(sourcesOf(stack, history), history.job, 2);
  if (!committed) throw new Error('The round has no manifest.');
  return { evidence: committed.evidence, dimension: job.terms.dimension };
}

test('a liar that answers is led to the one chunk that it cannot answer for', async () => {
  const { chain, member, deployment } = stack;
  const judge = typedContract(dataJudgeAbi, deployment.judges.data, chain.provider);
  const position = 300 * 64 + 5;
  const round = await closeRandomRound(
    stack,
    'bisected',
    { runners: 3, dimension: 400 * 64 - 1, seed: 7 },
    {
      sums: (levels) => {
        const sum = levels[0]?.[0];
        if (sum) sum[position] = (sum[position] ?? 0) + 1;
      },
    },
  );
  const { evidence, updates } = round;
  const [[truth] = []] = exactSums(evidence.levels, evidence.facts.headers, updates);
  const committed = round.sums[0]?.[0];
  if (!truth || !committed) throw new Error('The round has no sum.');
  const { closing } = await chain.commitments(round.job, 1);
  const name = { job: round.job, round: 1, closing: closing ?? '0x' };
  const judges = chainCalls(deployment).judges;
  const tree = valuesTree(sha256, LEAF.sum, committed);
  const asked: string[] = [];
  for (;;) {
    const known = {
      sources: { hash: sha256 },
      evidence,
      name,
      judges,
      questions: await questionsOf(chain, name),
    };
    const { call } = nextQuestion(known, 'sum', { level: 0, index: 0 }, truth);
    const parsed = new Interface(dataJudgeAbi as unknown as InterfaceAbi).parseTransaction({
      data: call.data,
    });
    asked.push(`${parsed?.name} ${String(parsed?.args[1])}`);
    const sent = await fileAccusation(chain, stack.sender(stranger), { what: '', kind: 'question', call });
    if (parsed?.name === 'askChunk') {
      await expire(stack, sent.block);
      break;
    }
    const [, height = 0n, index = 0n] = (parsed?.args[1] ?? []) as bigint[];
    const below = Math.max(0, Number(height) - 8);
    const row = rowAt(sha256, tree, below);
    const span = 2 ** (Number(height) - below);
    const nodes = row.slice(Number(index) * span, (Number(index) + 1) * span);
    const siblings = proofAbove(tree, Number(height), Number(index));
    const place = evidence.place({ level: 0, index: 0 });
    const inner = { tree: 0n, height, index };
    await stack
      .sender(member)
      .send(`answer ${asked.length}`, judge.call.answerNodes(place, inner, nodes, siblings));
  }
  expect(asked).toEqual(['askNodes 0,9,0', 'askNodes 0,1,150', 'askChunk 300']);
  expect(await chain.escrow(round.job)).toMatchObject({ phase: 'convicted' });
});

/** Siblings of a node and of those above it. */
function proofAbove(tree: MerkleTree, height: number, index: number): Hex[] {
  return tree
    .proof(index * 2 ** height)
    .slice(height)
    .map(toHex);
}

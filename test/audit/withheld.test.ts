/** A watcher that is not shown what it needs, by a coordinator that answers whatever can be answered. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { answerQuestion } from '#audit/answer.js';
import { openQuestions } from '#audit/questions.js';
import type { AuditSources } from '#audit/sources.js';
import { Watcher, type Observation } from '#audit/watcher.js';
import { RoundtableError } from '#core/errors.js';
import type { ChainStack } from '#test/services/chainStack.js';
import { passWindow, sourcesOf, startCourt, stranger } from './court.js';
import { writeHistory, type History } from './history.js';

let stack: ChainStack;
beforeAll(async () => {
  stack = await startCourt();
  // A chain's first history is paid, which takes it beyond its window.
  await writeHistory(stack, 'paid');
}, 60_000);
afterAll(() => stack.stop());

test('an honest round whose manifest is not shown is judged from what its coordinator answers', async () => {
  const history = await writeHistory(stack, 'hidden and honest');
  const { calls, last } = await watched(history, 'manifest 2');
  expect(last.what).toBe('nothing is wrong');
  expect(calls.slice(0, 2)).toEqual([
    ['askRoot', 'askOpening'],
    ['askLeaf', 'askLeaf', 'askLeaf'],
  ]);
  expect(last).toMatchObject({ outcome: 'holds', unknown: expect.arrayContaining([expect.any(String)]) });
  expect(await stack.chain.escrow(history.job)).toMatchObject({ phase: 'running', closed: 2, waits: false });
});

test('a lie behind a manifest that is not shown is found in the answers, beyond root and opening', async () => {
  const history = await writeHistory(stack, 'hidden and lying', {
    headers: (headers) => headers.map((h, i) => (i === 1 ? { ...h, weight: h.weight + 1 } : h)),
  });
  const { calls, last } = await watched(history, 'manifest 2');
  expect(last.what).toMatch(/contradicts itself/);
  expect(calls).toEqual([['askRoot', 'askOpening'], ['askLeaf', 'askLeaf', 'askLeaf'], ['unfitRunner']]);
  expect(last).toMatchObject({ outcome: 'convicted', what: expect.stringMatching(/contradicts itself/) });
  expect(await stack.chain.escrow(history.job)).toMatchObject({ phase: 'convicted', bond: 0n });
});

test('one wrong parameter of 16,803 in a version that is not shown is found by halving the tree', async () => {
  const history = await writeHistory(
    stack,
    'hidden parameters',
    { params: (params) => void (params[16_500] = (params[16_500] ?? 0) + 1) },
    { hidden: 2_100 },
  );
  const { calls, last, answered } = await watched(history, 'model 2');
  // What is asked in the same words again is said once.
  expect([calls, answered]).toEqual([[['askNodes'], ['askStep']], 2]);
  expect(last).toMatchObject({ outcome: 'asked' });
  await passWindow(stack);
  const seen: Observation[] = [];
  await watcherOf(history, 'model 2').look((said) => seen.push(said));
  expect(ofRound(seen, history)).toMatchObject([{ outcome: 'convicted', calls: ['expire'] }]);
  expect(await stack.chain.escrow(history.job)).toMatchObject({ phase: 'convicted', closed: 1 });
}, 120_000);

/** What is called look after look, until nothing more is asked that could be answered. */
async function watched(
  history: History,
  hidden: string,
): Promise<{ calls: string[][]; last: Observation; answered: number }> {
  const watcher = watcherOf(history, hidden);
  const calls: string[][] = [];
  let last: Observation | undefined;
  let answered = 0;
  for (let looks = 0; looks < 12; looks++) {
    const seen: Observation[] = [];
    await watcher.look((said) => seen.push(said));
    const found = ofRound(seen, history).at(-1);
    if (found) {
      last = found;
      if (found.calls.length > 0) calls.push(found.calls);
    }
    const now = await answerAll(history);
    answered += now;
    if (found?.outcome === 'convicted' || now === 0) break;
  }
  if (!last) throw new Error('Nothing was seen.');
  return { calls, last, answered };
}

/** @returns how many questions had an answer that the judge took */
async function answerAll(history: History): Promise<number> {
  let answered = 0;
  for (const question of await openQuestions(stack.chain)) {
    try {
      const call = await answerQuestion(sourcesOf(stack, history), question, async () => []);
      if (!call) continue;
      await stack.sender(stack.member).send(`answer ${question.id} ${question.asked.transaction}`, call);
      answered += 1;
    } catch {
      // What it lied about it cannot answer.
    }
  }
  return answered;
}

function watcherOf(history: History, hidden: string): Watcher {
  const sources = sourcesOf(stack, history);
  const archive: AuditSources['archive'] = {
    ...sources.archive,
    find: (tags) => sources.archive.find(tags),
    get: (id) => {
      if (id === history.archived[hidden]) throw new RoundtableError('NOT_FOUND', 'Nobody has it.');
      return sources.archive.get(id);
    },
  };
  return new Watcher({ ...sources, archive }, stack.sender(stranger));
}

const ofRound = (seen: readonly Observation[], { job }: History): Observation[] =>
  seen.filter((observation) => observation.job === job && observation.number === 2);

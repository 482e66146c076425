/** What a runner does with its receipts, on a chain: each look begins anew from the disk, as after a kill. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Wallet } from 'ethers';
import type { Hex } from '#core/hex.js';
import { selectionPlaces } from '#core/openHash.js';
import type { ConsortiumChain } from '#services/chain.js';
import { createSender } from '#services/chainSender.js';
import { chainCalls } from '#services/chainCalls.js';
import { folderIntents } from '#services/folderIntents.js';
import { sha256 } from '#services/sha256.js';
import { answerInclusion } from '#audit/receipts.js';
import { loadAccused } from '#audit/accused.js';
import { openQuestions } from '#audit/questions.js';
import type { Decision } from '#gpu-runner/decisionLog.js';
import { ReceiptBook } from '#gpu-runner/receiptBook.js';
import { fetchReceipts } from '#gpu-runner/receiptCollector.js';
import { followReceipts } from '#gpu-runner/receiptClaims.js';
import { passWindow, stranger } from '#test/audit/court.js';
import { writeHistory, type History } from '#test/audit/history.js';
import type { Falsification } from '#test/audit/falsification.js';
import { addressOf, type ChainStack } from '#test/services/chainStack.js';
import { receiptSigning } from '#test/support/receipts.js';
import { startRunnersCourt, type RunnersCourt } from './court.js';
import { temporaryFolder } from './folder.js';

let court: RunnersCourt;
let stack: ChainStack;
let chain: ConsortiumChain;
const withoutTheLast: Falsification = { headers: (headers) => headers.slice(0, -1) };

beforeAll(async () => {
  court = await startRunnersCourt();
  ({ stack, chain } = court);
}, 60_000);
afterAll(() => court?.stop());

interface Held {
  folder: string;
  wallet: Wallet;
  archive: History['archive'];
  decisions: Decision[];
}

describe('a runner that enforces its receipts', () => {
  test('sends nothing where its update is in the round', async () => {
    const held = await receiptOf(await writeHistory(stack, 'included'), 2);
    const before = await sentBy(held.wallet);
    await look(held);
    expect(outcomeOf(held)).toBe('included');
    expect(await sentBy(held.wallet)).toBe(before);
    expect(held.decisions.map(({ kind }) => kind)).toEqual(['receipt', 'claim']);
  });

  test('asks for an update that is left out, once, and convicts a coordinator that says nothing', async () => {
    const history = await writeHistory(stack, 'left out', withoutTheLast);
    const held = await receiptOf(history, 2);
    const before = await sentBy(held.wallet);
    for (let looks = 0; looks < 3; looks++) await look(held);
    expect((await sentBy(held.wallet)) - before).toBe(1);
    expect(outcomeOf(held)).toBeNull();
    expect((await openQuestions(stack.chain)).map(({ judge }) => judge)).toEqual(['receipts']);
    const tokens = await stack.chain.balance(addressOf(held.wallet));
    await passWindow(stack);
    await look(held);
    expect(outcomeOf(held)).toBe('convicted');
    expect(await stack.chain.escrow(history.job)).toMatchObject({ phase: 'convicted', bond: 0n });
    expect((await stack.chain.balance(addressOf(held.wallet))) - tokens).toBe((1001n * 30n) / 100n);
    await look(held);
    expect((await sentBy(held.wallet)) - before).toBe(2);
  });

  test('goes on with what it asked when it was killed before it could note that it was mined', async () => {
    const history = await writeHistory(stack, 'killed', withoutTheLast);
    const held = await receiptOf(history, 2);
    const before = await sentBy(held.wallet);
    const noted = pathsOf(held).map((path) => [path, readFileSync(path)] as const);
    await look(held);
    // The disk as it was before: the intent of the transaction is all that stayed.
    for (const [path, bytes] of noted) writeFileSync(path, bytes);
    await look(held);
    expect((await sentBy(held.wallet)) - before).toBe(1);
    await passWindow(stack);
    await look(held);
    expect(outcomeOf(held)).toBe('convicted');
  });

  test('loses its bond to a coordinator that shows two statements which the runner signed', async () => {
    const history = await writeHistory(stack, 'two statements', {
      headers: async (headers, sign) =>
        Promise.all(
          headers.map(async (header, index) =>
            index === 2
              ? {
                  ...header,
                  updateRoot: `0x${'77'.repeat(32)}` as Hex,
                  signature: await sign(header.runner, {
                    round: 2,
                    updateRoot: `0x${'77'.repeat(32)}`,
                    samples: header.samples,
                  }),
                }
              : header,
          ),
        ),
    });
    const held = await receiptOf(history, 2);
    await look(held);
    const [question] = await openQuestions(stack.chain);
    if (!question) throw new Error('Nothing was asked.');
    const { committed, record, before, job } = await loadAccused(
      { chain: stack.chain, archive: history.archive, hash: sha256 },
      history.job,
      2,
    );
    if (!committed) throw new Error('The round has no manifest.');
    const [header] = keptOf(history, 2);
    const answer = answerInclusion(
      stack.deployment,
      question,
      {
        ...committed,
        openHash: record.openHash,
        previous: before.word,
        dimension: job.terms.dimension,
      },
      header ? [header] : [],
    );
    if (!answer) throw new Error('There is no answer.');
    await stack.sender(stack.member).send('two statements answered', answer);
    await look(held);
    expect(outcomeOf(held)).toBe('answered');
    expect((await stack.chain.escrow(history.job)).phase).toBe('running');
  });

  test('claims the fee of a round that died, once', async () => {
    const history = await writeHistory(stack, 'died', {}, { dies: true });
    const held = await receiptOf(history, 2);
    await look(held);
    expect(outcomeOf(held)).toBeNull();
    await stack
      .sender(stack.member)
      .send('died/finish', chainCalls(stack.deployment).jobs.finish(history.job));
    const tokens = await stack.chain.balance(addressOf(held.wallet));
    await look(held);
    // Half of an equal share of what the round was worth: 501 units among three.
    expect((await stack.chain.balance(addressOf(held.wallet))) - tokens).toBe(83n);
    expect(outcomeOf(held)).toBe('paid');
    await look(held);
    expect((await stack.chain.balance(addressOf(held.wallet))) - tokens).toBe(83n);
  });

  test('has nothing to ask for once the round cannot be disputed', async () => {
    const held = await receiptOf(await writeHistory(stack, 'over', withoutTheLast), 2);
    await passWindow(stack);
    const before = await sentBy(held.wallet);
    await look(held);
    expect(outcomeOf(held)).toBe('over');
    expect(await sentBy(held.wallet)).toBe(before);
  });
});

test('a receipt that somebody else signed, or for another update, is not kept', async () => {
  const history = await writeHistory(stack, 'forged');
  const held = await receiptOf(history, 2, stranger);
  const book = await ReceiptBook.open(held.folder, fail);
  expect(book.all()).toMatchObject([{ signature: null }]);
  await look(held);
  expect(outcomeOf(held)).toBeNull();
});

/** The last runner of a round fetches its receipt from the stack, into a folder of its own. */
async function receiptOf(history: History, round: number, signer = stack.member): Promise<Held> {
  const worked = history.worked[round - 1];
  const wallet = history.runners[2];
  const header = worked?.headers[2];
  if (!worked || !wallet || !header) throw new Error('There is no such round.');
  const { opening } = worked;
  const folder = await temporaryFolder();
  const [place] = selectionPlaces(sha256, opening.selection, 2, 3);
  if (!place) throw new Error('The runner has no place.');
  const decisions: Decision[] = [];
  const book = await ReceiptBook.open(folder, fail);
  const { updateRoot } = header;
  const runner = addressOf(wallet);
  await book.expect(
    {
      coordinator: addressOf(stack.member),
      runner,
      opening: { ...opening, selection: opening.selection.slice(2, 3) },
      place,
      updateRoot,
    },
    60,
  );
  const { chainId, jobs } = stack.deployment;
  const { job, openHash } = opening;
  const sign = receiptSigning({ chainId, jobs }, signer);
  const signature = sign({ job, round, openHash, runner, updateRoot });
  await fetchReceipts(
    {
      book,
      stack: {
        ask: async (_path, _body, answer) =>
          answer.parse({ items: [{ job, round, openHash, updateRoot, signature }] }),
      },
      coordinator: addressOf(stack.member),
      domain: { chainId, jobs },
      decisions: { append: async (decision) => void decisions.push(decision) },
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    },
    book.all(),
    new AbortController().signal,
  );
  return { folder, wallet, archive: history.archive, decisions };
}

/** What the coordinator keeps with the receipt that it signed. */
function keptOf(history: History, round: number) {
  const worked = history.worked[round - 1];
  const header = worked?.headers[2];
  if (!worked || !header) throw new Error('There is no such round.');
  const { job, openHash } = worked.opening;
  const { runner, updateRoot, dimension, samples, steps, signature } = header;
  const update = { dimension, samples, steps, signature };
  return [{ job, round, openHash, runner, updateRoot, signature, update }];
}

async function look({ folder, wallet, archive, decisions }: Held): Promise<void> {
  await followReceipts(
    {
      book: await ReceiptBook.open(folder, fail),
      chain,
      archive,
      sender: createSender({ chain, wallet, intents: folderIntents(join(folder, 'intents')) }),
      receiptJudge: stack.deployment.judges.receipts,
      decisions: { append: async (decision) => void decisions.push(decision) },
    },
    (_, error) => {
      throw error;
    },
  );
}

function outcomeOf({ folder }: Held): string | null {
  const [name] = readdirSync(join(folder, 'ended'));
  if (name === undefined) return null;
  return (JSON.parse(readFileSync(join(folder, 'ended', name), 'utf8')) as { outcome: string }).outcome;
}

const pathsOf = ({ folder }: Held): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(folder, name));

const sentBy = (wallet: Wallet): Promise<number> => stack.anvil.provider.getTransactionCount(wallet.address);

const quiet = (): void => undefined;

function fail(mistake: string): never {
  throw new Error(mistake);
}

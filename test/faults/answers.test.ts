/** The workflow worker as it runs in a stack: asked on chain, it answers by itself, once, also when it is killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { loadAccused } from '#audit/accused.js';
import { openQuestions } from '#audit/questions.js';
import { leftOut } from '#audit/receipts.js';
import { fileAccusation } from '#audit/report.js';
import { Watcher, type Observation } from '#audit/watcher.js';
import type { ChainCall } from '#contracts/typed.js';
import { toHex, type Hex } from '#core/hex.js';
import type { KeptReceipt } from '#core/receipts.js';
import { bucketName, tableName } from '#core/names.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import { baseEnvironment } from '#local/environment.js';
import { generateArchiveKey, openArchive, type Archive } from '#services/archive.js';
import { ensureBucket } from '#services/artifacts.js';
import { chainCalls } from '#services/chainCalls.js';
import { openBucket } from '#services/s3.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { ensureTable, openTable } from '#services/table.js';
import { sealUpdate } from '#services/updateSealing.js';
import { updateKey } from '#services/updates.js';
import { generateX25519Key, x25519PublicKey } from '#services/x25519.js';
import { passWindow, startCourt, stranger } from '#test/audit/court.js';
import type { Falsification } from '#test/audit/falsification.js';
import { historyArchive } from '#test/audit/gatewayArchive.js';
import { updatesOf, writeHistoryTo, type History } from '#test/audit/history.js';
import type { HistoryArchive } from '#test/audit/memoryArchive.js';
import {
  endGateways,
  startGateway,
  temporaryFolder,
  type GatewayProcess,
} from '#test/local/gatewayProcess.js';
import { addressOf, type ChainStack } from '#test/services/chainStack.js';
import { startStores, type Stores } from '#test/services/realParts.js';
import { receiptSigning } from '#test/support/receipts.js';
import { startTemporal } from '#test/support/temporal.js';
import { until } from '#test/support/until.js';

let folder: string;
let stack: ChainStack;
let stores: Stores;
let temporal: TestWorkflowEnvironment;
let gateway: GatewayProcess;
let archive: Archive;
let environment: Record<string, string>;
let worker: ChildProcess | undefined;
const sealing = generateX25519Key();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-answers-'));
  stores = await startStores(['dynamodb', 's3', 'sqs']);
  const key = await generateArchiveKey();
  [stack, temporal, gateway] = await Promise.all([
    startCourt(),
    startTemporal(),
    startGateway(await temporaryFolder()),
  ]);
  await Promise.all([ensureBucket({ bucket: bucketName }), ensureTable({ table: tableName })]);
  archive = openArchive({ gateways: [gateway.url], key });
  const kept = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  environment = {
    ...baseEnvironment(),
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('AWS_'))),
    TABLE_NAME: tableName,
    BUCKET_NAME: bucketName,
    CREDITS_QUEUE_URL: stores.jobsQueue,
    TEMPORAL_ADDRESS: temporal.address,
    TEMPORAL_NAMESPACE: 'default',
    CHAIN_RPC_URLS: stack.anvil.url,
    CHAIN_DEPLOYMENT: JSON.stringify(stack.deployment),
    ARWEAVE_GATEWAYS: gateway.url,
    ARWEAVE_KEY_FILE: kept('arweave.json', JSON.stringify(key)),
    COORDINATOR_ADDRESS: addressOf(stack.member),
    COORDINATOR_KEY_FILE: kept('member.key', stack.member.privateKey),
    COORDINATOR_SEALING_KEY_FILE: kept('member.x25519', toHex(sealing.privateKey)),
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    SUM_FUNCTION: 'sum',
    DISPUTE_WINDOW_SECONDS: '60',
    WORKER_SCRATCH: join(folder, 'scratch'),
    WORKFLOW_BUNDLE: 'dist/workflow-bundle.js',
  } as Record<string, string>;
  // A chain's first history is paid, which takes it beyond its window.
  await closed('paid');
}, 180_000);
afterEach(killWorker);
afterAll(async () => {
  await temporal?.teardown();
  await endGateways();
  await stores?.stop();
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('a question asked to annoy is answered, and costs whoever asked its bond', async () => {
  const history = await closed('annoyed');
  await startWorker();
  const asker = await stack.anvil.provider.getBalance(stranger.address);
  const before = await answersSent();
  const { evidence } = await committed(history);
  const { data } = chainCalls(stack.deployment).judges;
  const place = evidence.place(evidence.rootName);
  for (const call of [data.askLeaf(place, 1n), data.askChunk(place, 0n), data.askStep(place, 0n)])
    await ask(call);
  await until(async () => (await openQuestions(stack.chain)).length === 0, 'no question is open', 90);
  expect((await answersSent()) - before).toBe(3);
  expect(asker - (await stack.anvil.provider.getBalance(stranger.address))).toBeGreaterThan(3n * 10n ** 16n);
  await passWindow(stack);
  const seen: Observation[] = [];
  await new Watcher(
    { chain: stack.chain, archive, hash: sha256, updateSource: updatesOf(history) },
    stack.sender(stranger),
  ).look((said) => seen.push(said));
  expect(seen.filter(({ outcome }) => outcome !== 'holds')).toEqual([]);
  expect(await stack.chain.isFinal(history.job, 2)).toBe(true);
}, 120_000);

test('a worker that is killed while it answers has answered each question once when it is back', async () => {
  const history = await closed('killed');
  const { evidence } = await committed(history);
  const { data } = chainCalls(stack.deployment).judges;
  const place = evidence.place(evidence.rootName);
  const before = await answersSent();
  const calls = [
    data.askRoot(history.job, 2n),
    data.askOpening(history.job, 2n),
    ...[0n, 1n, 2n].map((child) => data.askLeaf(place, child)),
    data.askChunk(place, 0n),
    data.askStep(place, 0n),
  ];
  for (const call of calls) await ask(call);
  for (let kills = 0; kills < 3; kills++) {
    await startWorker();
    const left = (await openQuestions(stack.chain)).length;
    // At a different moment each time: before anything is sent, and in the middle of it.
    await until(
      async () => kills === 0 || (await openQuestions(stack.chain)).length < left,
      'a first answer',
      90,
    );
    await killWorker();
  }
  await startWorker();
  await until(async () => (await openQuestions(stack.chain)).length === 0, 'no question is open', 90);
  expect((await answersSent()) - before).toBe(calls.length);
  expect((await stack.chain.escrow(history.job)).phase).toBe('running');
}, 180_000);

test('a worker that is killed answers each receipt once: with the update, or with what its runner signed twice', async () => {
  const included = await closed('receipts');
  const conflicting = await closed('two statements', {
    headers: async (headers, sign) => {
      const updateRoot = sha256Hex(new Uint8Array([7]));
      const [first, ...others] = headers;
      if (!first) throw new Error('The round has no runners.');
      const { runner, samples } = first;
      return [
        { ...first, updateRoot, signature: await sign(runner, { round: 2, updateRoot, samples }) },
        ...others,
      ];
    },
  });
  const before = await answersSent();
  for (const history of [included, conflicting])
    for (const receipt of await signedFor(history)) await askWhere(receipt);
  expect(await openQuestions(stack.chain)).toHaveLength(6);
  for (let kills = 0; kills < 2; kills++) {
    await startWorker();
    const left = (await openQuestions(stack.chain)).length;
    await until(
      async () => kills === 0 || (await openQuestions(stack.chain)).length < left,
      'the worker answers',
      90,
    );
    await killWorker();
  }
  await startWorker();
  await until(async () => (await openQuestions(stack.chain)).length === 0, 'no question is open', 90);
  expect((await answersSent()) - before).toBe(6);
  for (const { job } of [included, conflicting])
    expect((await stack.chain.escrow(job)).phase).toBe('running');
}, 180_000);

/** Receipts of round 2 as this stack's worker signs and keeps them. */
async function signedFor({ worked }: History<HistoryArchive>): Promise<KeptReceipt[]> {
  const round = worked[1];
  if (!round) throw new Error('There is no second round.');
  const sign = receiptSigning(stack.deployment, stack.member);
  const { job, openHash } = round.opening;
  const receipts = round.headers.map(({ runner, updateRoot, dimension, samples, steps, signature }) => {
    const receipt = { job, round: 2, openHash, runner, updateRoot };
    return {
      ...receipt,
      signature: sign(receipt),
      update: { dimension, samples, steps, signature },
    };
  });
  await openTable({ table: tableName }).putReceipts(receipts);
  return receipts;
}

/** Whoever has the receipt asks, whatever the round holds. */
async function askWhere({ signature, update: _update, ...receipt }: KeptReceipt): Promise<void> {
  const { closing: previous } = await stack.chain.commitments(receipt.job, 1);
  const question = leftOut(stack.deployment, { receipt, signature }, null, previous ?? '0x');
  if (!question) throw new Error('There is nothing to ask.');
  await fileAccusation(stack.chain, stack.sender(stranger), question);
}

/** An honest coordinator's rounds, with the updates where its stack keeps them, sealed. */
async function closed(name: string, falsify: Falsification = {}): Promise<History<HistoryArchive>> {
  const history = await writeHistoryTo(stack, name, { archive: historyArchive(archive) }, falsify);
  const reader = {
    member: addressOf(stack.member),
    publicKey: toHex(x25519PublicKey(sealing.privateKey)),
  };
  for (const plain of history.updates.values()) {
    const { header } = decodeUpdateFile(plain);
    const { job, round, runner } = header;
    const sealed = sealUpdate(plain, [reader], { job, round, runner });
    const file = sha256Hex(sealed);
    await openBucket({ bucket: bucketName }).write(updateKey({ job, round, runner, file }), sealed, file);
  }
  return history;
}

async function committed(history: History<HistoryArchive>) {
  const loaded = await loadAccused({ chain: stack.chain, archive, hash: sha256 }, history.job, 2);
  if (!loaded.committed) throw new Error('The round has no manifest.');
  return loaded.committed;
}

const ask = (call: ChainCall) =>
  fileAccusation(stack.chain, stack.sender(stranger), { what: '', kind: 'question', call });

/** Transactions of the coordinator's key to the judges that ask. */
async function answersSent(): Promise<number> {
  const { provider, deployment } = stack.chain;
  let sent = 0;
  for (let block = await provider.getBlockNumber(); block > 0; block--) {
    const found = await provider.getBlock(block, true);
    sent += (found?.prefetchedTransactions ?? []).filter(
      ({ from, to }) =>
        from.toLowerCase() === addressOf(stack.member) &&
        [deployment.judges.data, deployment.judges.receipts].includes((to ?? '').toLowerCase() as Hex),
    ).length;
  }
  return sent;
}

async function startWorker(): Promise<void> {
  const child = spawn(process.execPath, ['dist/workflows.js'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  worker = child;
  for await (const line of createInterface({ input: child.stdout }))
    if (line.includes('the workflow worker is ready')) {
      child.stdout.resume();
      return;
    }
  throw new Error('The worker did not start.');
}

async function killWorker(): Promise<void> {
  const child = worker;
  worker = undefined;
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

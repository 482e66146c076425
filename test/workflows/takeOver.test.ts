/** A convicted coordinator's job goes on at another member's stack: on a real chain and real stores. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { id, Wallet } from 'ethers';
import { auditVersion } from '#audit/index.js';
import { Watcher } from '#audit/watcher.js';
import { toHex, type Hex } from '#core/hex.js';
import type { JobSpec } from '#core/jobSpec.js';
import { genesisManifest } from '#core/manifest.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import type { CreditMessage, TrainUpdate } from '#core/messages.js';
import { bucketName, tableName, takeOverTrigger } from '#core/names.js';
import { openHash } from '#core/openHash.js';
import { encodeUpdateFile } from '#core/updateFile.js';
import { weightShift } from '#core/weights.js';
import { ensureBucket, openArtifacts } from '#services/artifacts.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { ensureTable, openTable, type Table } from '#services/table.js';
import { passWindow, sourcesOf, startCourt, stranger } from '#test/audit/court.js';
import { writeHistory, type History } from '#test/audit/history.js';
import { runnerWallets, signUpdate } from '#test/audit/signing.js';
import { addressOf, giveEther, type ChainStack } from '#test/services/chainStack.js';
import { startStores, type Stores } from '#test/services/realParts.js';
import { exampleJob } from '#test/services/views.js';
import { aggregate } from '#workflows/activities/aggregate.js';
import { archiveModel, archiveRound } from '#workflows/activities/archive.js';
import type { Dependencies } from '#workflows/activities/dependencies.js';
import { finishRound } from '#workflows/activities/finish.js';
import { finishEpoch, planEpoch } from '#workflows/activities/settle.js';
import { prepareTakeOver } from '#workflows/activities/takeOver.js';
import { createChainActivities } from '#workflows/activities/transactions.js';
import type { PreparedJob } from '#workflows/types.js';
import { receiptSigning } from '#test/support/receipts.js';

const clock = Date.now.bind(Date);
const taker = new Wallet(id('another member'));
const files = new Map<Hex, Uint8Array>();
const rung: CreditMessage[] = [];
let stack: ChainStack;
let stores: Stores;
let table: Table;
let scratch: string;
let lying: History;
let spec: JobSpec;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'roundtable-taker-'));
  stores = await startStores(['dynamodb', 's3']);
  await ensureBucket({ bucket: bucketName });
  await ensureTable({ table: tableName });
  table = openTable({ table: tableName });
  stack = await startCourt();
  const { calls, founder, anvil } = stack;
  await giveEther(anvil, taker);
  const who = addressOf(taker);
  await stack.sender(founder).send('admit', calls.consortium.addMember(who, 'south', ''));
  await stack.sender(founder).send('tokens', calls.token.transfer(who, 10_000n));
  // Epoch 1 of the first coordinator, so that the lying history publishes none of its own.
  await writeHistory(stack, 'paid before');
  lying = await writeHistory(stack, 'taken over', {
    params: (params) => void (params[3] = (params[3] ?? 0) + 1),
  });
  const genesis = await lying.archive.get(lying.archived['manifest 0'] ?? '');
  ({ spec } = genesisManifest.parse(JSON.parse(new TextDecoder().decode(genesis))).hashed);
  await new Watcher(sourcesOf(stack, lying), stack.sender(stranger)).look(() => undefined);
}, 120_000);
afterAll(async () => {
  jest.restoreAllMocks();
  await stack?.stop();
  await stores?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

test('the taker goes on from the last round that stands, closes the next, pays what it owes, and the lineage is verified', async () => {
  const { chain } = stack;
  expect(await chain.escrow(lying.job)).toMatchObject({ phase: 'convicted', closed: 1 });
  await windowPasses();
  const deps = dependencies(addressOf(taker));
  const transactions = createChainActivities({ chain, sender: stack.sender(taker) });

  const prepared = await prepareTakeOver(deps, row(addressOf(taker)));
  expect(prepared).toMatchObject({
    coordinator: addressOf(taker),
    parent: null,
    takenOver: { round: 1, version: { versionId: lying.versions[1] } },
  });
  await transactions.createJob({ prepared });
  await transactions.createJob({ prepared });
  expect(await chain.escrow(lying.job)).toMatchObject({ coordinator: addressOf(taker), phase: 'running' });

  const version = await secondRound(deps, prepared, transactions);
  expect(await transactions.finishJob({ job: lying.job })).not.toBeNull();
  await table.projectJob({ ...row(addressOf(taker)), seq: 1, state: 'done', round: 2 });
  await windowPasses();

  // Round 1 was closed by the first coordinator; its budget was not released before, so the taker owes it.
  const payer = addressOf(taker);
  expect(await planEpoch(deps, payer, 1)).toBe('unreleased');
  await transactions.releaseBudgets({ payer });
  await expect(planEpoch(deps, payer, 1)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  for (const credit of rung.splice(0)) await table.credit(credit);
  const plan = await planEpoch(deps, payer, 1);
  if (!plan || plan === 'unreleased') throw new Error('There is nothing to pay.');
  const transaction = await transactions.publishEpoch({ plan });
  await finishEpoch(deps, { plan, transaction, effective: true });
  expect([plan.jobs, BigInt(plan.total)]).toEqual([[lying.job], 1001n]);
  expect(await table.listWaiting('settlement', new Date(Date.now() + 1e9).toISOString(), 10)).toEqual([]);

  const audit = await auditVersion(
    { ...sourcesOf(stack, lying), updateSource: async ({ updateRoot }) => files.get(updateRoot) ?? null },
    version,
  );
  expect(audit.wrong).toBeNull();
  expect(audit.rounds.map(({ coordinator }) => coordinator)).toEqual([lying.payer, payer]);
}, 120_000);

test('the first coordinator owes nothing of it any more, and its stack comes to rest', async () => {
  const payer = lying.payer;
  const deps = dependencies(payer);
  const own = createChainActivities({ chain: stack.chain, sender: stack.sender(stack.member) });
  expect(await own.finishJob({ job: lying.job })).toBeNull();
  await table.projectJob({
    ...row(payer),
    seq: 99,
    state: 'failed',
    round: 2,
    problem: { code: 'CHAIN_REVERTED', message: '' },
  });
  const owed = (await stack.chain.releases(lying.job)).map(({ coordinator }) => coordinator);
  expect(owed).toEqual([addressOf(taker), addressOf(taker)]);
  await own.releaseBudgets({ payer });
  expect(await stack.chain.releases(lying.job)).toHaveLength(2);
  expect(await deps.chain.jobsOf(payer)).toContain(lying.job);
});

test('a job is taken over only with the spec that it was created with', async () => {
  await expect(
    prepareTakeOver(dependencies(addressOf(taker)), {
      ...row(addressOf(taker)),
      spec: { ...spec, rounds: 7 },
    }),
  ).rejects.toMatchObject({ code: 'JOB_INVALID' });
});

function row(coordinator: Hex) {
  return exampleJob({
    job: lying.job,
    spec,
    trigger: takeOverTrigger,
    coordinator,
  });
}

function dependencies(coordinator: Hex): Dependencies {
  const { archive } = lying;
  const { chainId, jobs } = stack.deployment;
  return {
    coordinator,
    domain: { chainId, jobs },
    windowSeconds: 60,
    table,
    signReceipt: receiptSigning({ chainId, jobs }),
    artifacts: openArtifacts({ bucket: bucketName }),
    readUpdate: async ({ file }: { file: Hex }) => files.get(file),
    archive: {
      get: (name: string) => archive.get(name),
      find: (tags: Record<string, string>) => archive.find(tags),
      put: async (data: Uint8Array, tags: Record<string, string>) => ({
        id: archive.put(data, tags),
        size: data.length,
      }),
    },
    chain: stack.chain,
    credits: { sendAll: async (messages: readonly CreditMessage[]) => void rung.push(...messages) },
    shardRules: { most: Infinity, each: Infinity },
    scratch,
  } as unknown as Dependencies;
}

/** A window passes, for the chain and for the activities, which go by this machine's clock. */
async function windowPasses(): Promise<void> {
  await passWindow(stack);
  const { timestamp = 0 } = (await stack.anvil.provider.getBlock('latest')) ?? {};
  const ahead = 1_000 * (timestamp + 1) - clock();
  jest.spyOn(Date, 'now').mockImplementation(() => clock() + ahead);
}

async function secondRound(
  deps: Dependencies,
  prepared: PreparedJob,
  transactions: ReturnType<typeof createChainActivities>,
): Promise<Hex> {
  const { job, specHash, takenOver, dimension, domain } = prepared;
  if (!takenOver) throw new Error('Nothing was taken over.');
  const samples = [100, 60, 40];
  const fields = {
    job,
    round: 2,
    baseVersion: takenOver.version.versionId,
    specHash,
    shift: weightShift(samples),
    selection: runnerWallets.map((wallet, i) => ({ runner: addressOf(wallet), maxSamples: samples[i] ?? 1 })),
  };
  const opening = { ...fields, openHash: openHash(sha256, fields) };
  await transactions.openRound({ job, round: 2, openHash: opening.openHash });
  const updates = await Promise.all(
    runnerWallets.map(async (wallet, i): Promise<TrainUpdate> => {
      const runner = addressOf(wallet);
      const delta = Int32Array.from({ length: dimension }, (_, at) => ((at * 31 + i * 7) % 1000) - 500);
      const plain = encodeUpdateFile({ job, round: 2, runner, ring: 'i32', sections: { delta } });
      const updateRoot = toHex(valuesRoot(sha256, LEAF.update, delta));
      files.set(updateRoot, plain);
      files.set(sha256Hex(plain), plain);
      const statement = { round: 2, updateRoot, samples: samples[i] ?? 1 };
      return {
        kind: 'update',
        runner,
        file: sha256Hex(plain),
        bytes: plain.length,
        updateRoot,
        dimension,
        samples: samples[i] ?? 1,
        steps: 10,
        saturated: 0,
        signature: await signUpdate(
          runner,
          { job, domain, openHash: opening.openHash, dimension },
          statement,
        ),
        training: { onnxruntime: '1.30.0', provider: 'cpu', cpu: 'avx2', threads: 1 },
        loss: 1,
        seconds: 1,
      };
    }),
  );
  const base = takenOver.version;
  const input = { prepared, opening, base, updates };
  const aggregated = await aggregate(deps, input);
  const { version, rootHeader } = aggregated;
  const { archive, shares } = await archiveRound(deps, {
    ...input,
    previousManifest: takenOver.archive.manifestHash,
    aggregate: aggregated,
    model: await archiveModel(deps, { prepared, round: 2, version }),
    missing: [],
    accuracy: null,
    loss: null,
    seconds: {},
  });
  await transactions.closeRound({ prepared, round: 2, rootHeader, version, archive });
  await finishRound(deps, { prepared, round: 2, base, version, accuracy: null, archive, shares });
  return version.versionId;
}

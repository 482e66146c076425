import { readFileSync } from 'node:fs';
import { Client } from '@temporalio/client';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { Wallet } from 'ethers';
import { receiptTypes, sealListTypes, updateDomain } from '#core/eip712.js';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import { chainQueue, coordinatorQueue } from '#core/names.js';
import { archiveAddress, openArchive, type JWKInterface } from '#services/archive.js';
import { openArtifacts } from '#services/artifacts.js';
import { openChain } from '#services/chain.js';
import { checkWindow } from '#services/chain/networks.js';
import { createSender } from '#services/chainSender.js';
import { openFunction } from '#services/functionCalls.js';
import { coordinatorCodec } from '#services/runnerPayloads.js';
import { openLog } from '#services/log.js';
import { openQueue } from '#services/queue.js';
import { signTypedData } from '#services/signatures.js';
import { openSums } from '#services/sums.js';
import { openTable } from '#services/table.js';
import { unseal } from '#services/sealing.js';
import { connectionOptions, explainFailure, temporalPlace } from '#services/temporal.js';
import { openTraces } from '#services/telemetry/traces.js';
import { openUpdates } from '#services/updates.js';
import { x25519PublicKey } from '#services/x25519.js';
import { TrainingProcess } from '#trainer/run/trainingProcess.js';
import { aliveInterceptor } from './alive.js';
import { createActivities } from './activities/index.js';
import { createChainActivities } from './activities/transactions.js';
import { ByteCache, cachedArtifacts } from './artifactCache.js';
import { becomeCurrent, versionedOptions } from './deployment.js';
import { readEnvironment } from './environment.js';
import { failureInterceptor } from './failures.js';
import { observingInterceptor } from './observe.js';
import { installRuntime } from './runtime.js';
import { listenForQuestions } from './questions.js';
import { updateOutliner } from './updateOutline.js';
import { updateReader } from './updateReader.js';

/** The workflow worker of one member's stack: workflows, coordinator activities, and the only sender of its key. */
const environment = readEnvironment();
const log = openLog('worker', environment.LOG_LEVEL);
const deployment = environment.CHAIN_DEPLOYMENT;
const wallet = new Wallet(readFileSync(environment.COORDINATOR_KEY_FILE, 'utf8').trim());

const signingKey = fromHex(wallet.privateKey as Hex, 32);
const signedFor = updateDomain(deployment.chainId, deployment.jobs);
const sealingKey = fromHex(readFileSync(environment.COORDINATOR_SEALING_KEY_FILE, 'utf8').trim(), 32);
const archiveKey = JSON.parse(readFileSync(environment.ARWEAVE_KEY_FILE, 'utf8')) as JWKInterface;

const sealing = {
  id: environment.COORDINATOR_ADDRESS,
  privateKey: sealingKey,
};
const bucket = { bucket: environment.BUCKET_NAME };
const updates = openUpdates(bucket);
const cache = new ByteCache(256 * 1024 * 1024);

const table = openTable({ table: environment.TABLE_NAME });
const chain = openChain({
  rpcUrls: environment.CHAIN_RPC_URLS,
  deployment,
  network: environment.CHAIN_NETWORK,
});
checkWindow(chain.network, environment.DISPUTE_WINDOW_SECONDS);
const evaluator = new TrainingProcess({ threads: 1 });
const activities = createActivities({
  coordinator: environment.COORDINATOR_ADDRESS,
  domain: { chainId: deployment.chainId, jobs: deployment.jobs },
  windowSeconds: environment.DISPUTE_WINDOW_SECONDS,
  table,
  artifacts: cachedArtifacts(openArtifacts(bucket), cache),
  updates,
  readUpdate: updateReader(updates, sealing, cache),
  outliner: updateOutliner(updates, sealing),
  shardRules: { most: environment.SUM_WORKER_VALUES, each: environment.SUM_FUNCTION_VALUES },
  sums: openSums(bucket),
  sumFunction: openFunction({ name: environment.SUM_FUNCTION }),
  sealingKey: toHex(x25519PublicKey(sealing.privateKey)),
  signReceipt: (statement) => signTypedData(signingKey, signedFor, receiptTypes, statement),
  signSealList: (statement) => signTypedData(signingKey, signedFor, sealListTypes, statement),
  unseal: (envelope, context) => unseal(envelope, sealing, context),
  archive: openArchive({
    gateways: environment.ARWEAVE_GATEWAYS,
    key: archiveKey,
  }),
  archiveOwner: archiveAddress(archiveKey),
  chain,
  credits: openQueue({ url: environment.CREDITS_QUEUE_URL }),
  evaluator,
  scratch: environment.WORKER_SCRATCH,
});
const healEveryMs = 60_000;
const sender = createSender({ chain, wallet, intents: table.intents });

const telemetry = {
  traces: openTraces('worker', (message) => log.warn({}, message)),
  metrics: installRuntime(log, environment.METRICS_ADDRESS),
};
const place = await temporalPlace(environment)();
const connection = await NativeConnection.connect(connectionOptions(place)).catch(async (error: unknown) => {
  throw await explainFailure(place, error);
});
const buildId = environment.WORKER_BUILD_ID;
const draining = environment.WORKER_ROLE === 'draining';
const common = {
  connection,
  namespace: place.namespace,
  interceptors: {
    activity: [
      () => ({ inbound: failureInterceptor(log) }),
      () => ({ inbound: observingInterceptor(telemetry) }),
      () => ({ inbound: aliveInterceptor() }),
    ],
  },
  shutdownGraceTime: '5s',
} satisfies Partial<WorkerOptions>;

const coordinator = await Worker.create({
  ...common,
  ...(buildId === undefined ? {} : versionedOptions(buildId)),
  taskQueue: coordinatorQueue,
  workflowBundle: { codePath: environment.WORKFLOW_BUNDLE },
  // What runners are asked and answer is encrypted, each with its own key.
  dataConverter: { payloadCodecs: [coordinatorCodec(sealingKey, (runner) => table.sealingKey(runner))] },
  activities,
  maxConcurrentActivityTaskExecutions: 32,
  maxConcurrentWorkflowTaskExecutions: 16,
  maxCachedWorkflows: 200,
  // A killed worker's workflows go on elsewhere, or here after its restart, this soon (default 10 s).
  stickyQueueScheduleToStartTimeout: '1s',
});
const running = [coordinator.run()];
const ending = new AbortController();
// One sender at a time: beside a newer worker, that one.
if (!draining) {
  const sending = await Worker.create({
    ...common,
    taskQueue: chainQueue(environment.COORDINATOR_ADDRESS),
    activities: createChainActivities({ chain, sender }),
    maxConcurrentActivityTaskExecutions: 1,
  });
  running.push(sending.run());
  // Between jobs nobody sends, and what a reorganisation undid would stay undone.
  const healing = setInterval(() => {
    sender.heal().catch((error: unknown) => log.warn({ err: error }, 'what was sent could not be checked'));
  }, healEveryMs);
  const client = new Client({ connection, namespace: place.namespace });
  const coordinatorAddress = environment.COORDINATOR_ADDRESS;
  running.push(listenForQuestions({ chain, coordinator: coordinatorAddress, client, log }, ending.signal));
  ending.signal.addEventListener('abort', () => {
    clearInterval(healing);
    sending.shutdown();
  });
}
ending.signal.addEventListener('abort', () => coordinator.shutdown());
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ending.abort());
if (buildId !== undefined && !draining) {
  const identity = coordinator.options.identity;
  await becomeCurrent(connection, { namespace: place.namespace, buildId, identity }, ending.signal);
}
log.info(
  { coordinator: environment.COORDINATOR_ADDRESS, buildId, role: environment.WORKER_ROLE },
  'the workflow worker is ready',
);
await Promise.all(running);
chain.close();
await evaluator.close();
await connection.close();
await telemetry.traces.flush();

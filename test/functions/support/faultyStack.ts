import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SQSClient } from '@aws-sdk/client-sqs';
import { Client, Connection } from '@temporalio/client';
import { deployment } from '#contracts/deployment.js';
import { deadLetterName, queueNames, tableName } from '#core/names.js';
import { awsEnvironment, localRegion } from '#local/environment.js';
import { eventsPart } from '#local/events/part.js';
import { openLambda, type Lambda } from '#local/lambda/lambda.js';
import { stackEnvironment } from '#local/parts.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { readPorts } from '#local/supervisor/ports.js';
import { openTable, type Table } from '#services/table.js';
import { until } from '#test/support/until.js';
import { exampleTrigger } from '#test/services/views.js';
import { githubSecret } from '../webhooks.js';
import { writeFaultyFunctions } from './faultyFunctions.js';
import { calmWords, deadlyRunner } from './poison.js';

/** A stack with its own stores, queues, Temporal, chain and API; its functions are faulty, its worker is stopped. */
export interface FaultyStack {
  stack: LocalStack;
  stateDir: string;
  table: Table;
  sqs: SQSClient;
  webhook: Lambda;
  temporal: Client;
  urls: { jobs: string; credits: string };
  /** The file that tells the functions that the deadly word kills no more, and the list of what happened. */
  files: { mended: string; happened: string };
  /** SQS keeps everything in memory: killed and started again, it knows nothing. */
  forgetQueues(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Limits of the functions in seconds. A message comes again after six times as long, so they are as short as two busy
 * cores allow; dispatch connects to Temporal each time that its process was killed.
 */
export const limits = { webhook: 5, dispatch: 3, reward: 1, sweep: 5 };

/** The trigger `nightly` is there, with the secret of webhooks.ts. */
export async function startFaultyStack({ seed }: { seed: number }): Promise<FaultyStack> {
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-events-'));
  const stateDir = join(folder, 'stack');
  const stack = await startStack({ stateDir, data: [], plan: [] });
  for (const part of ['worker', 'events']) await stack.supervisor.stop(part);
  const ports = readPorts(stateDir) as Parameters<typeof stackEnvironment>[0]['ports'];
  const env = stackEnvironment({
    stateDir,
    ports,
    deployment: deployment.parse(stack.file.chain.deployment),
    coordinator: stack.file.coordinator,
    keyFiles: { coordinator: '', sealing: '', arweave: '', secrets: '' },
    entrance: { entrance: '', certificate: '', privateKey: '' },
  });
  Object.assign(process.env, awsEnvironment(ports), env, { LOG_LEVEL: 'silent' });
  const functions = join(folder, 'functions');
  const files = writeFaultyFunctions(functions, {
    seed,
    rates: { webhook: 0.0025, dispatch: 0.05, reward: 0.05, sweep: 0.02 },
    deadly: deadlyRunner,
    calm: calmWords,
  });
  await stack.supervisor.start({
    ...eventsPart({
      sources: {
        sources: [source(queueNames.jobs, 'dispatch'), source(queueNames.credits, 'reward')],
        schedules: [{ function: 'sweep', everySeconds: 2, timeoutSeconds: limits.sweep }],
      },
      functionsFolder: functions,
      env: { ...env, LOG_LEVEL: 'info' },
    }),
    name: 'faulty-events',
  });
  const table = openTable({ table: tableName, client: new DynamoDBClient({}) });
  const trigger = exampleTrigger({ name: 'nightly', kind: 'github', createdAt: new Date().toISOString() });
  await table.createTrigger(trigger, [githubSecret]);
  const sqs = new SQSClient({ useQueueUrlAsEndpoint: false });
  const webhook = openLambda(functions, 'webhook', localRegion);
  const { address } = stack.file.temporal;
  const temporal = new Client({ connection: await Connection.connect({ address }) });
  return {
    stack,
    stateDir,
    table,
    sqs,
    webhook,
    temporal,
    urls: { jobs: String(env['JOBS_QUEUE_URL']), credits: String(env['CREDITS_QUEUE_URL']) },
    files,
    forgetQueues: () => killSqs(stack),
    async stop() {
      webhook.close();
      sqs.destroy();
      await temporal.connection.close();
      await stack.stop({ force: true });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const source = (name: string, of: 'dispatch' | 'reward') => ({
  queue: name,
  deadLetter: deadLetterName(name),
  function: of,
  timeoutSeconds: limits[of],
});

async function killSqs(stack: LocalStack): Promise<void> {
  const sqs = () => stack.supervisor.status().find(({ name }) => name === 'sqs');
  const restarts = sqs()?.restarts ?? 0;
  process.kill(sqs()?.pid ?? 0, 'SIGKILL');
  await until(() => sqs()?.restarts === restarts + 1 && sqs()?.state === 'ready', 'SQS is back');
}

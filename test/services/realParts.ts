import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bucketName, deadLetterName, mostDeliveries, queueNames, tableName } from '#core/names.js';
import { dynamodbPart } from '#local/emulators/dynamodb.js';
import { s3Part } from '#local/emulators/s3.js';
import { sqsPart } from '#local/emulators/sqs.js';
import { awsEnvironment, baseEnvironment } from '#local/environment.js';
import { ensureQueue, openSqs } from '#local/events/queues.js';
import type { Part } from '#local/supervisor/part.js';
import { choosePorts } from '#local/supervisor/ports.js';
import { ensureTable, openTable, type Table } from '#services/table.js';

export interface StartedPart {
  kill(): Promise<void>;
}

/** Starts one of the local stack's parts as it is, for a test that stops it again. */
export async function startPart(part: Part): Promise<StartedPart> {
  await part.prepare?.();
  const child = spawn(part.command, part.args, {
    env: { ...baseEnvironment(), ...part.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const over = new AbortController();
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void exit.then(() => over.abort(new Error(`${part.name} ended: ${errors}`)));
  const signal = AbortSignal.any([over.signal, AbortSignal.timeout(30_000)]);
  await part.ready({ signal, onLine: () => undefined }).catch(async (error: unknown) => {
    await killed(child, exit);
    throw error;
  });
  return { kill: () => killed(child, exit) };
}

async function killed(child: ChildProcess, exit: Promise<void>): Promise<void> {
  child.kill('SIGKILL');
  await exit;
}

export interface Stores {
  folder: string;
  ports: Record<'dynamodb' | 's3' | 'sqs' | 'temporal' | 'http' | 'chain' | 'api', number>;
  /** URL of the jobs queue. */
  jobsQueue: string;
  deadJobsQueue: string;
  /** What functions are told of the queues. */
  queueUrls: Record<string, string>;
  stop(): Promise<void>;
}

/** DynamoDB, S3 and SQS on free ports; AWS_* of this process point to them from then on. */
export async function startStores(which: readonly ('dynamodb' | 's3' | 'sqs')[]): Promise<Stores> {
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-stores-'));
  const any = { dynamodb: null, s3: null, sqs: null, temporal: null, http: null, chain: null, api: null };
  const { ports } = await choosePorts(folder, any);
  Object.assign(process.env, awsEnvironment(ports), {
    TABLE_NAME: tableName,
    BUCKET_NAME: bucketName,
    LOG_LEVEL: 'silent',
  });
  const started = await Promise.all(
    which.map((name) => {
      if (name === 'dynamodb') return startPart(dynamodbPart({ port: ports.dynamodb, stateDir: folder }));
      if (name === 's3') return startPart(s3Part({ port: ports.s3, stateDir: folder }));
      return startPart(sqsPart({ port: ports.sqs }));
    }),
  );
  const queues = which.includes('sqs')
    ? await makeQueues()
    : { jobsQueue: '', deadJobsQueue: '', queueUrls: {} };
  return {
    folder,
    ports,
    ...queues,
    async stop() {
      await Promise.all(started.map((part) => part.kill()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A new table in a DynamoDB of its own. */
export async function startTable(): Promise<{ stores: Stores; table: Table }> {
  const stores = await startStores(['dynamodb']);
  await ensureTable({ table: tableName });
  return { stores, table: openTable({ table: tableName }) };
}

async function makeQueues(): Promise<Pick<Stores, 'jobsQueue' | 'deadJobsQueue' | 'queueUrls'>> {
  const sqs = openSqs();
  const [jobs, credits] = await Promise.all(
    [queueNames.jobs, queueNames.credits].map((queue) =>
      ensureQueue(sqs, {
        queue,
        deadLetter: deadLetterName(queue),
        maxReceiveCount: mostDeliveries,
        visibilitySeconds: 30,
      }),
    ),
  );
  sqs.destroy();
  const [jobsQueue, creditsQueue] = [String(jobs?.url), String(credits?.url)];
  return {
    jobsQueue,
    deadJobsQueue: deadLetterName(jobsQueue),
    queueUrls: {
      JOBS_QUEUE_URL: jobsQueue,
      JOBS_DEAD_URL: deadLetterName(jobsQueue),
      CREDITS_QUEUE_URL: creditsQueue,
      CREDITS_DEAD_URL: deadLetterName(creditsQueue),
    },
  };
}

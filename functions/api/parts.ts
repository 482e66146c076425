import { readFile } from 'node:fs/promises';
import { stackEntrance, type StackEntrance } from '#core/entryMessages.js';
import type { Hex } from '#core/hex.js';
import { parseMessage } from '#core/schema.js';
import { openArtifacts } from '#services/artifacts.js';
import { openChain } from '#services/chain.js';
import { openDeadLetters } from '#services/deadLetters.js';
import { openQueue } from '#services/queue.js';
import { openTable } from '#services/table.js';
import type { Telemetry } from '#services/telemetry/telemetry.js';
import { temporalPlace } from '#services/temporal.js';
import { openUpdates } from '#services/updates.js';
import { openUploads } from '#services/uploads.js';
import { readEnvironment, type Environment } from '../environment.js';
import { openLimits } from '../limits.js';
import type { Logger } from '#services/log.js';
import { openTemporal, type Temporal } from '../temporal.js';
import type { ApiParts } from './app.js';
import { cached } from './cached.js';
import { cacheMembership } from './membership.js';

/** The API's services, from the environment: in its Lambda and in the node server. */
export function openApiParts(log: Logger, telemetry: Telemetry): ApiParts & { temporal: Temporal } {
  const environment = readEnvironment(
    'TABLE_NAME',
    'BUCKET_NAME',
    'JOBS_QUEUE_URL',
    'JOBS_DEAD_URL',
    'CREDITS_QUEUE_URL',
    'CREDITS_DEAD_URL',
    'TEMPORAL_ADDRESS',
    'TEMPORAL_NAMESPACE',
    'TEMPORAL_CREDENTIALS_SECRET',
    'COORDINATOR_ADDRESS',
    'CHAIN_RPC_URLS',
    'CHAIN_DEPLOYMENT',
    'STACK_ENTRANCE',
    'STACK_ENTRANCE_FILE',
    'API_LIMITS',
    'CHAIN_NETWORK',
  );
  const deployment = environment.CHAIN_DEPLOYMENT;
  const table = openTable({ table: environment.TABLE_NAME });
  const chain = openChain({
    rpcUrls: environment.CHAIN_RPC_URLS,
    deployment,
    network: environment.CHAIN_NETWORK,
  });
  const memberUrl = cached(
    async (address: Hex) => (await chain.members()).find(({ member }) => member === address)?.url ?? '',
  );
  const bucket = { bucket: environment.BUCKET_NAME };
  return {
    table,
    limits: openLimits(table, environment.API_LIMITS),
    artifacts: openArtifacts(bucket),
    uploads: openUploads(bucket),
    updates: openUpdates(bucket),
    queue: openQueue({ url: environment.JOBS_QUEUE_URL }),
    queues: {
      jobs: openDeadLetters({ queue: environment.JOBS_QUEUE_URL, dead: environment.JOBS_DEAD_URL }),
      credits: openDeadLetters({ queue: environment.CREDITS_QUEUE_URL, dead: environment.CREDITS_DEAD_URL }),
    },
    temporal: openTemporal(temporalPlace(environment)),
    membership: cacheMembership(chain),
    stackUrl: () => memberUrl(environment.COORDINATOR_ADDRESS),
    coordinator: environment.COORDINATOR_ADDRESS,
    deployment,
    entrance: entranceFrom(environment),
    telemetry,
    log,
  };
}

/** A file is read again every few seconds: the member signs a new entrance before the old one ends. */
function entranceFrom({
  STACK_ENTRANCE: given,
  STACK_ENTRANCE_FILE: file,
}: Pick<Environment, 'STACK_ENTRANCE' | 'STACK_ENTRANCE_FILE'>): () => Promise<StackEntrance | null> {
  if (file === undefined) return () => Promise.resolve(given ?? null);
  const read = cached(async (path: string) =>
    parseMessage(stackEntrance, JSON.parse(await readFile(path, 'utf8')), path),
  );
  return () => read(file);
}

import { delimiter, join } from 'node:path';
import type { Deployment } from '#contracts/deployment.js';
import { bucketName, deadLetterName, queueNames, tableName } from '#core/names.js';
import type { EntranceFiles } from './consortium/entrance.js';
import { localTerms } from './consortium/contracts.js';
import { awsEnvironment, localRegion } from './environment.js';
import { distFile, nodeProgram } from './paths.js';
import type { Part } from './supervisor/part.js';
import { http, logLine } from './supervisor/ready.js';

/** Everything that the stack's own processes are told, through their environment alone. */
export interface StackAddresses {
  stateDir: string;
  ports: Record<
    | 'dynamodb'
    | 's3'
    | 'sqs'
    | 'lambda'
    | 'chain'
    | 'gateway'
    | 'temporal'
    | 'temporalUi'
    | 'api'
    | 'gatekeeper'
    | 'gatekeeperHealth'
    | 'gatekeeperMetrics'
    | 'apiMetrics'
    | 'workerMetrics',
    number
  >;
  deployment: Deployment;
  coordinator: `0x${string}`;
  keyFiles: { coordinator: string; sealing: string; arweave: string; secrets: string };
  entrance: EntranceFiles;
  /** Where functions begin to add instead of the worker (workflows/environment.ts), if not at its defaults. */
  sums?: Record<'SUM_WORKER_VALUES' | 'SUM_FUNCTION_VALUES', string>;
}

export const namespace = 'default';
export const local = (port: number): string => `http://127.0.0.1:${port}`;
/** The emulator knows a queue by this URL alone, whatever address it is reached at. */
const queueUrl = (port: number, name: string): string =>
  `http://sqs.${localRegion}.localhost:${port}/000000000000/${name}`;

/** What functions and worker have in common; the very names that infra gives them in the cloud. */
export function stackEnvironment(addresses: StackAddresses): Record<string, string> {
  const { ports, deployment, coordinator } = addresses;
  return {
    ...awsEnvironment(ports),
    TABLE_NAME: tableName,
    BUCKET_NAME: bucketName,
    JOBS_QUEUE_URL: queueUrl(ports.sqs, queueNames.jobs),
    JOBS_DEAD_URL: queueUrl(ports.sqs, deadLetterName(queueNames.jobs)),
    CREDITS_QUEUE_URL: queueUrl(ports.sqs, queueNames.credits),
    CREDITS_DEAD_URL: queueUrl(ports.sqs, deadLetterName(queueNames.credits)),
    TEMPORAL_ADDRESS: `127.0.0.1:${ports.temporal}`,
    TEMPORAL_NAMESPACE: namespace,
    CHAIN_RPC_URLS: local(ports.chain),
    CHAIN_DEPLOYMENT: JSON.stringify(deployment),
    ARWEAVE_GATEWAYS: local(ports.gateway),
    COORDINATOR_ADDRESS: coordinator,
  };
}

/** The API, the webhook function and the page behind one node server. */
export function apiPart(addresses: StackAddresses): Part {
  const { api, apiMetrics, chain, gateway, temporalUi } = addresses.ports;
  const page = { rpcUrls: [local(chain)], gateways: [local(gateway)], temporalUi: local(temporalUi) };
  return {
    name: 'api',
    role: 'function',
    ...nodeProgram('functions.js'),
    env: {
      ...stackEnvironment(addresses),
      STACK_ENTRANCE_FILE: addresses.entrance.entrance,
      API_HOST: '127.0.0.1',
      PORT: String(api),
      METRICS_ADDRESS: `127.0.0.1:${apiMetrics}`,
      WEB_FOLDER: distFile('web'),
      WEB_CONFIG: JSON.stringify(page),
    },
    ready: http(`${local(api)}/health`),
  };
}

/** Which function is called for what: queues with their dead letters, schedules, and the worker's calls. */
export const eventSources = (ports: Pick<StackAddresses['ports'], 'lambda'>) => ({
  sources: [
    { queue: queueNames.jobs, deadLetter: deadLetterName(queueNames.jobs), function: 'dispatch' },
    { queue: queueNames.credits, deadLetter: deadLetterName(queueNames.credits), function: 'reward' },
  ],
  schedules: [
    { function: 'sweep', everySeconds: 2 },
    { function: 'settle', everySeconds: 1 },
  ],
  invocations: { functions: [sumFunction], port: ports.lambda, timeoutSeconds: 540 },
});

/** Name of the function that adds ranges of large updates. */
const sumFunction = 'sum';

/** The Arweave gateway over a folder. */
export function gatewayPart(options: { port: number; stateDir: string }): Part {
  return {
    name: 'gateway',
    role: 'service',
    ...nodeProgram('local/gateway.js'),
    env: { GATEWAY_PORT: String(options.port), GATEWAY_DATA: join(options.stateDir, 'arweave') },
    ready: http(`${local(options.port)}/info`),
  };
}

/** What every runner comes in by: the only one here that Temporal is shown to from outside. */
export function gatekeeperPart(addresses: StackAddresses): Part {
  const { gatekeeper, gatekeeperHealth, gatekeeperMetrics } = addresses.ports;
  return {
    name: 'gatekeeper',
    role: 'service',
    ...nodeProgram('gatekeeper.js'),
    env: {
      ...stackEnvironment(addresses),
      GATEKEEPER_HOST: '127.0.0.1',
      GATEKEEPER_PORT: String(gatekeeper),
      GATEKEEPER_HEALTH_PORT: String(gatekeeperHealth),
      GATEKEEPER_CERTIFICATE_FILE: addresses.entrance.certificate,
      GATEKEEPER_KEY_FILE: addresses.entrance.privateKey,
      GATEKEEPER_SECRETS_FILE: addresses.keyFiles.secrets,
      METRICS_ADDRESS: `127.0.0.1:${gatekeeperMetrics}`,
    },
    ready: http(`${local(gatekeeperHealth)}/health`),
  };
}

export function workerPart(addresses: StackAddresses): Part {
  return {
    name: 'worker',
    role: 'worker',
    ...nodeProgram('workflows.js'),
    env: {
      ...stackEnvironment(addresses),
      ARWEAVE_KEY_FILE: addresses.keyFiles.arweave,
      COORDINATOR_KEY_FILE: addresses.keyFiles.coordinator,
      COORDINATOR_SEALING_KEY_FILE: addresses.keyFiles.sealing,
      DISPUTE_WINDOW_SECONDS: String(localTerms.windowSeconds),
      SUM_FUNCTION: sumFunction,
      ...addresses.sums,
      WORKER_SCRATCH: join(addresses.stateDir, 'scratch'),
      WORKFLOW_BUNDLE: distFile('workflow-bundle.js'),
      METRICS_ADDRESS: `127.0.0.1:${addresses.ports.workerMetrics}`,
    },
    ready: logLine(/the workflow worker is ready/),
  };
}

/** A runner on its own folder, or several in one process; they are told nothing of the stack but what stands there. */
export function runnerPart(runner: { name: string; homes: readonly string[] }): Part {
  return {
    name: `runner-${runner.name}`,
    role: 'runner',
    ...nodeProgram('runner/runner.js'),
    env: { RUNNER_HOME: runner.homes.join(delimiter) },
    ready: logLine(/waiting for tasks/),
  };
}

import { EventEmitter } from 'node:events';
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bucketName, tableName } from '#core/names.js';
import {
  enterConsortium,
  localMembers,
  localRunners,
  type LocalMember,
  type LocalRunner,
  type RunnerPlan,
} from './consortium/members.js';
import { writeEntrance } from './consortium/entrance.js';
import { localContracts } from './consortium/contracts.js';
import type { Dataset } from './consortium/dataset.js';
import { archiveKeyFile, gatekeeperSecretsFile, walletFile } from './consortium/keys.js';
import { dealData, publishServed, runnerHome, writeRunnerHomes } from './consortium/runnerHomes.js';
import { chainPart } from './emulators/chain.js';
import { dynamodbPart } from './emulators/dynamodb.js';
import { s3Part } from './emulators/s3.js';
import { sqsPart } from './emulators/sqs.js';
import { awsEnvironment } from './environment.js';
import {
  apiPart,
  eventSources,
  gatekeeperPart,
  gatewayPart,
  local,
  namespace,
  runnerPart,
  stackEnvironment,
  workerPart,
  type StackAddresses,
} from './parts.js';
import { eventsPart } from './events/part.js';
import { writeStackFile, type StackFile } from './stackFile.js';
import { prepareStores } from './stores.js';
import { checkStateFormat } from './stateFormat.js';
import { Supervisor } from './supervisor/supervisor.js';
import { findTemporal } from './temporal/find.js';
import { temporalPart } from './temporal/part.js';
import type { Progress } from './temporal/way.js';

/** What a person is told while a stack comes up, besides the supervisor's own events. */
export interface StackNews {
  temporal: [progress: Progress];
  note: [text: string];
}

export interface StackOptions {
  stateDir: string;
  /** Ports fixed by the person; the others are chosen once and kept. */
  ports?: Partial<Record<PortName, number>>;
  /** Forget everything that earlier runs left, except what is cached outside. */
  fresh?: boolean;
  /** Data sets that the runners serve, each dealt between them by label shards. */
  data: { name: string; load: () => Dataset }[];
  /** Called before anything starts, so that nothing is missed. */
  onOpen?: (supervisor: Supervisor, news: EventEmitter<StackNews>) => void;
  /** Other runners than the demo's four. */
  plan?: readonly RunnerPlan[];
  /** A process for each (the default), one for all of them, or none: registered and with their folders, not started. */
  runners?: 'apart' | 'together' | 'held';
  /** From which size on sums are cut among functions, where a model of this machine is to be cut. */
  sums?: NonNullable<StackAddresses['sums']>;
}

const portNames = [
  'dynamodb',
  's3',
  'sqs',
  'lambda',
  'chain',
  'gateway',
  'temporal',
  'temporalHttp',
  'temporalUi',
  'api',
  'gatekeeper',
  'gatekeeperHealth',
  'gatekeeperMetrics',
  'apiMetrics',
  'workerMetrics',
] as const;
export type PortName = (typeof portNames)[number];

/** A whole stack on this machine: one member's, with the runners of the demo consortium. */
export interface LocalStack {
  file: StackFile;
  supervisor: Supervisor;
  members: LocalMember[];
  runners: LocalRunner[];
  startRunner(name: string): Promise<void>;
  stopRunner(name: string): Promise<void>;
  stop(options?: { force?: boolean }): Promise<void>;
}

/**
 * Brings everything up, or goes on from what an earlier run left in the state folder.
 * @throws ALREADY_RUNNING, STATE_OTHER_VERSION, TEMPORAL_NOT_FOUND, PORT_IN_USE, PART_CRASHED
 */
export async function startStack(options: StackOptions): Promise<LocalStack> {
  const stateDir = resolve(options.stateDir);
  const news = new EventEmitter<StackNews>();
  const supervisor = await Supervisor.open(stateDir);
  options.onOpen?.(supervisor, news);
  try {
    if (options.fresh) forget(stateDir);
    checkStateFormat(stateDir);
    const temporal = await findTemporal({ onProgress: (progress) => void news.emit('temporal', progress) });
    const fixed = Object.fromEntries(portNames.map((name) => [name, options.ports?.[name] ?? null]));
    const { ports } = await supervisor.choosePorts(fixed as Record<PortName, number | null>);
    news.emit('note', `the page: ${local(ports.api)}/ (it answers as soon as the API does)`);
    const members = localMembers(stateDir);
    const runners = localRunners(stateDir, members, options.plan);
    const founder = walletFile(stateDir, 'founder');
    const [coordinator] = members;
    if (!coordinator) throw new TypeError('The local consortium has no members.');

    const [arweave] = await Promise.all([
      archiveKeyFile(stateDir),
      supervisor.start(
        chainPart({ port: ports.chain, stateDir }),
        dynamodbPart({ port: ports.dynamodb, stateDir }),
        s3Part({ port: ports.s3, stateDir }),
        sqsPart({ port: ports.sqs }),
        gatewayPart({ port: ports.gateway, stateDir }),
        temporalPart({
          binary: temporal.path,
          port: ports.temporal,
          httpPort: ports.temporalHttp,
          uiPort: ports.temporalUi,
          stateDir,
        }),
      ),
    ]);
    const rpcUrl = local(ports.chain);
    const [deployment] = await Promise.all([
      localContracts(stateDir, founder.wallet, rpcUrl),
      prepareStores(awsEnvironment(ports), { table: tableName, bucket: bucketName }),
    ]);
    news.emit('note', `contracts at ${deployment.jobs} (jobs), ${deployment.rewards} (rewards)`);
    const api = local(ports.api);
    const entrance = await writeEntrance({
      stateDir,
      member: coordinator,
      deployment,
      gatekeeper: `127.0.0.1:${ports.gatekeeper}`,
      namespace,
    });
    const addresses: StackAddresses = {
      stateDir,
      ports,
      deployment,
      coordinator: coordinator.address,
      keyFiles: {
        coordinator: coordinator.path,
        sealing: coordinator.sealing,
        arweave,
        secrets: gatekeeperSecretsFile(stateDir),
      },
      entrance,
      ...(options.sums && { sums: options.sums }),
    };
    const homes = runners.map(({ name }) => ({ name, home: runnerHome(stateDir, name) }));
    const runnerParts = new Map(homes.map(({ name, home }) => [name, runnerPart({ name, homes: [home] })]));
    const together = runnerPart({ name: 'all', homes: homes.map(({ home }) => home) });
    const started = { apart: [...runnerParts.values()], together: [together], held: [] };
    // The chain and the disk keep the one busy, loading programs keeps the others.
    await Promise.all([
      supervisor.start(
        apiPart(addresses),
        gatekeeperPart(addresses),
        eventsPart({ sources: eventSources(ports), env: stackEnvironment(addresses) }),
        workerPart(addresses),
      ),
      (async () => {
        await enterConsortium({ rpcUrl, deployment, founder, members, runners, stackUrl: api });
        news.emit('note', `${members.length} members and ${runners.length} runners are registered on chain`);
        const data = options.data.map(({ name }) => name);
        await writeRunnerHomes({
          stateDir,
          runners,
          coordinator: coordinator.address,
          deployment,
          api,
          rpcUrl,
          gateway: local(ports.gateway),
          data,
        });
        await publishServed({ stateDir, rpcUrl, deployment, runners, data });
        for (const { name, load } of options.data) await dealData(stateDir, runners, name, load);
        await supervisor.start(
          ...started[options.runners ?? 'apart'].map((part) => ({ ...part, after: ['api', 'gatekeeper'] })),
        );
      })(),
    ]);
    const file: StackFile = {
      api,
      gateway: local(ports.gateway),
      chain: { rpcUrl, deployment },
      temporal: { address: `127.0.0.1:${ports.temporal}`, ui: local(ports.temporalUi) },
      coordinator: coordinator.address,
      keys: { coordinator: coordinator.path, founder: founder.path },
      members: members.map(({ name, address, path, sealing }) => ({ name, address, key: path, sealing })),
      runners: runners.map(({ name, address, member }) => ({
        name,
        runner: address,
        member: member.address,
        home: runnerHome(stateDir, name),
      })),
    };
    writeStackFile(stateDir, file);
    return {
      file,
      supervisor,
      members,
      runners,
      async startRunner(name) {
        const part = runnerParts.get(name);
        if (part) await supervisor.start(part);
      },
      stopRunner: (name) => supervisor.stop(`runner-${name}`),
      stop: (how) => supervisor.stopAll(how),
    };
  } catch (error) {
    await supervisor.stopAll();
    throw error;
  }
}

/** Everything but the lock and the ports: keys, chain, archive, table, histories. */
function forget(stateDir: string): void {
  const files = ['chain.json', 'chain.json.copy', 'deployment.json', 'stack.json', 'entrance.json'];
  const folders = ['keys', 'runners', 'arweave', 's3', 'scratch', 'logs', 'triggers'];
  const databases = ['dynamodb.sqlite', 'temporal.sqlite'].flatMap((name) => [
    name,
    `${name}-wal`,
    `${name}-shm`,
  ]);
  const names = files.concat(folders, databases);
  for (const name of names) rmSync(join(stateDir, name), { recursive: true, force: true });
}

import { serve, type ServerType } from '@hono/node-server';
import { afterAll } from '@jest/globals';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { Wallet } from 'ethers';
import { toHex, type Hex } from '#core/hex.js';
import type { StackEntrance } from '#core/entryMessages.js';
import { apiApp } from '#functions/api/app.js';
import { limitSettings, openLimits } from '#functions/limits.js';
import { dynamodbPart } from '#local/emulators/dynamodb.js';
import { s3Part } from '#local/emulators/s3.js';
import { ensureBucket, openArtifacts, type Artifacts } from '#services/artifacts.js';
import { openLog } from '#services/log.js';
import { noTelemetry } from '#services/telemetry/telemetry.js';
import { openUpdates, type Updates } from '#services/updates.js';
import { openUploads } from '#services/uploads.js';
import { generateTlsKey, issueCertificate, type Certificate } from '#services/certificate.js';
import { signEntrance } from '#services/entrance.js';
import { generateX25519Key, type X25519KeyPair } from '#services/x25519.js';
import { ensureTable, openTable, type Table } from '#services/table.js';
import { startGatekeeper, type TestGatekeeper } from '../support/gatekeeper.js';
import { temporaryFolder } from './folder.js';
import { freePort, startPart } from './parts.js';

export const coordinatorWallet = new Wallet(`0x${'c0'.repeat(32)}`);
export const coordinator = coordinatorWallet.address.toLowerCase() as Hex;
export const member = `0x${'a1'.repeat(20)}` as const;
/** The coordinator's key, for which updates are sealed. */
export const sealing = generateX25519Key();
export const readers = [{ member: coordinator, publicKey: toHex(sealing.publicKey) }];
export const chain = {
  chainId: 31337,
  jobs: `0x${'bb'.repeat(20)}`,
  consortium: `0x${'cc'.repeat(20)}`,
} as const;

/** The stack's API on real stores; only the chain and the jobs are played: `registered` says which runners it knows. */
export interface TestApi {
  coordinator: Hex;
  url: string;
  s3: S3Client;
  artifacts: Artifacts;
  updates: Updates;
  table: Table;
  registered: Set<Hex>;
  /** Jobs that have ended; any other is known, and in its first round. */
  ended: Set<Hex>;
  /** Where runners come in, signed by the coordinator. */
  entrance: StackEntrance;
  /** A gatekeeper in front of a Temporal server, from then on the entrance. */
  openGatekeeper(temporal: string): Promise<TestGatekeeper>;
  /** Requests as they came, `METHOD path`. */
  requests: string[];
  /** Answers instead of the API while set; null lets a request through. */
  fault: ((request: Request) => Response | Promise<Response> | null) | null;
  stop(): Promise<void>;
  start(): Promise<void>;
}

const ends: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const end of ends.splice(0)) await end();
});

/**
 * @param options wallet: of the member whose stack it is; between: the port at which the store is reached, of
 * something that stands in front of it
 */
export async function startApi(
  options: { wallet?: Wallet; between?: (port: number) => Promise<number> } = {},
): Promise<TestApi> {
  const wallet = options.wallet ?? coordinatorWallet;
  const stack = wallet.address.toLowerCase() as Hex;
  const entranceAt = entranceOf(wallet);
  const stateDir = await temporaryFolder();
  const [dynamoPort, s3Port, port] = await Promise.all([freePort(), freePort(), freePort()]);
  await Promise.all([
    startPart(dynamodbPart({ port: dynamoPort, stateDir })),
    startPart(s3Part({ port: s3Port, stateDir })),
  ]);
  const aws = { region: 'us-east-1', credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' } };
  const reached = (await options.between?.(s3Port)) ?? s3Port;
  const dynamo = new DynamoDBClient({ ...aws, endpoint: `http://127.0.0.1:${dynamoPort}` });
  const [s3, farS3] = [s3Port, reached].map(
    (s3At) =>
      new S3Client({
        ...aws,
        endpoint: `http://127.0.0.1:${s3At}`,
        forcePathStyle: true,
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
      }),
  );
  if (!s3 || !farS3) throw new Error('no clients');
  await Promise.all([
    ensureTable({ table: 'roundtable', client: dynamo }),
    ensureBucket({ bucket: 'artifacts', client: s3 }),
  ]);
  const registered = new Set<Hex>();
  const table = openTable({ table: 'roundtable', client: dynamo });
  const bucket = { bucket: 'artifacts', client: s3 };
  const asReached = { bucket: 'artifacts', client: farS3 };
  const artifacts = openArtifacts(bucket);
  const updates = openUpdates(bucket);
  const ended = new Set<Hex>();
  const jobs = {
    ...table,
    getJob: (job: Hex) =>
      Promise.resolve({ job, state: ended.has(job) ? 'done' : 'running', round: 0 } as never),
  };
  const app = apiApp({
    table: jobs,
    artifacts: openArtifacts(asReached),
    uploads: openUploads(asReached),
    updates: openUpdates(asReached),
    queue: { send: unused } as never,
    queues: {} as never,
    temporal: { signalJob: unused },
    membership: {
      isMember: () => Promise.resolve(false),
      runner: (address) =>
        Promise.resolve(registered.has(address) ? ({ member, stake: 1n, leftAt: null } as never) : null),
      drawn: () => Promise.resolve(null),
      serving: () => Promise.resolve({ keyFingerprint: null, data: ['digits', 'letters'] }),
      acceptsSignature: () => Promise.resolve(false),
    },
    coordinator: stack,
    deployment: chain as never,
    stackUrl: () => Promise.resolve(''),
    entrance: () => Promise.resolve(api.entrance),
    limits: openLimits(table, limitSettings.parse({})),
    telemetry: noTelemetry,
    log: openLog('test', 'silent'),
  });

  let server: ServerType | null = null;
  const answer = async (request: Request): Promise<Response> => {
    api.requests.push(`${request.method} ${new URL(request.url).pathname}`);
    return (await api.fault?.(request)) ?? app.fetch(request);
  };
  const api: TestApi = {
    coordinator: stack,
    url: `http://127.0.0.1:${port}`,
    s3,
    artifacts,
    updates,
    table,
    registered,
    ended,
    entrance: await entranceAt('127.0.0.1:1', await nobody(), generateX25519Key()),
    async openGatekeeper(temporal) {
      const gatekeeper = await startGatekeeper({ temporal, table, dynamodb: dynamoPort, folder: stateDir });
      ends.push(async () => void (await gatekeeper.end('SIGKILL')));
      api.entrance = await entranceAt(gatekeeper.address, gatekeeper.certificate, gatekeeper.member);
      return gatekeeper;
    },
    requests: [],
    fault: null,
    async start() {
      await new Promise<void>((resolve) => {
        server = serve({ fetch: answer, hostname: '127.0.0.1', port }, () => resolve());
      });
    },
    async stop() {
      const current = server;
      server = null;
      if (!current) return;
      const closed = new Promise((resolve) => current.close(resolve));
      if ('closeAllConnections' in current) current.closeAllConnections();
      await closed;
    },
  };
  await api.start();
  ends.push(async () => {
    await api.stop();
    dynamo.destroy();
    s3.destroy();
    farS3.destroy();
  });
  return api;
}

/** A gatekeeper's address as a coordinator signs it. */
const entranceOf =
  (wallet: Wallet) =>
  (
    gatekeeper: string,
    { certificate, expiresAt }: Certificate,
    member: X25519KeyPair,
  ): Promise<StackEntrance> =>
    signEntrance(wallet, chain, {
      gatekeeper,
      namespace: 'default',
      sealingKey: toHex(member.publicKey),
      expiry: expiresAt,
      certificates: [certificate],
    });

const nobody = (): Promise<Certificate> =>
  issueCertificate({ privateKey: generateTlsKey(), name: 'north', seconds: 3_600, purpose: 'gatekeeper' });

function unused(): never {
  throw new Error('the runner has no business here');
}

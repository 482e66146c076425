import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { PayloadCodec } from '@temporalio/common';
import { awsEnvironment } from '#local/environment.js';
import { nodeProgram } from '#local/paths.js';
import { generateTlsKey, issueCertificate, type Certificate } from '#services/certificate.js';
import { coordinatorCodec } from '#services/runnerPayloads.js';
import type { Table } from '#services/table.js';
import { generateX25519Key, type X25519KeyPair } from '#services/x25519.js';

type Line = Record<string, unknown> & { msg: string };

/** The built gatekeeper as a process, on free ports, between a Temporal server and whoever comes. */
export interface TestGatekeeper {
  /** host:port, the same after every start. */
  address: string;
  port: number;
  certificate: Certificate;
  /** The stack's member. */
  member: X25519KeyPair;
  /** What its workflow worker would use. */
  codec: PayloadCodec;
  /** Its log, of all its processes. */
  lines: Line[];
  secretsFile: string;
  certificateFile: string;
  pid(): number;
  health(): Promise<
    Record<'runners' | 'sessions' | 'polls' | 'strangers' | 'refused' | 'memoryMegabytes', number>
  >;
  /** What Prometheus would fetch. */
  metrics(): Promise<string>;
  /** Reasons of what it refused since the last call. */
  refusals(): string[];
  start(): Promise<void>;
  /** Resolves with the exit code when the process is gone. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

export async function startGatekeeper(options: {
  /** host:port */
  temporal: string;
  table: Table;
  /** Port of the DynamoDB emulator. */
  dynamodb: number;
  folder: string;
  env?: Record<string, string>;
}): Promise<TestGatekeeper> {
  const { folder, table, dynamodb } = options;
  const certificate = await issueCertificate({
    privateKey: generateTlsKey(),
    name: 'test',
    seconds: 3_600,
    purpose: 'gatekeeper',
  });
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const secretsFile = file('gatekeeper.secrets', `${randomBytes(32).toString('hex')}\n`);
  const certificateFile = file('gatekeeper.crt', certificate.certificate);
  const member = generateX25519Key();
  const env: Record<string, string> = {
    PATH: process.env['PATH'] ?? '',
    ...awsEnvironment({ dynamodb, s3: 1, sqs: 1 }),
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    TABLE_NAME: 'roundtable',
    TEMPORAL_ADDRESS: options.temporal,
    TEMPORAL_NAMESPACE: 'default',
    // Nobody answers there: what the chain last said holds, which is nothing.
    CHAIN_RPC_URLS: 'http://127.0.0.1:9',
    CHAIN_DEPLOYMENT: JSON.stringify(nowhere),
    GATEKEEPER_PORT: '0',
    GATEKEEPER_HEALTH_PORT: '0',
    METRICS_ADDRESS: '127.0.0.1:0',
    GATEKEEPER_CERTIFICATE_FILE: certificateFile,
    GATEKEEPER_KEY_FILE: file('gatekeeper.key', certificate.privateKey),
    GATEKEEPER_SECRETS_FILE: secretsFile,
    ...options.env,
  };
  const lines: Line[] = [];
  let child: ChildProcess | null = null;
  let health = 0;
  let metrics = 0;
  let told = 0;

  const start = async (): Promise<void> => {
    const { command, args } = nodeProgram('gatekeeper.js');
    const started = spawn(command, args, {
      env: { ...env, ...(gatekeeper.port ? { GATEKEEPER_PORT: String(gatekeeper.port) } : {}) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child = started;
    await new Promise<void>((resolve, reject) => {
      started.once('exit', (code) =>
        reject(new Error(`the gatekeeper ended with ${code}: ${JSON.stringify(lines)}`)),
      );
      createInterface({ input: started.stdout }).on('line', (text) => {
        const line = JSON.parse(text) as Line;
        lines.push(line);
        if (line.msg !== 'the gatekeeper is ready') return;
        gatekeeper.port = Number(line['port']);
        gatekeeper.address = `127.0.0.1:${gatekeeper.port}`;
        health = Number(line['health']);
        metrics = Number(line['metrics']);
        resolve();
      });
    });
  };
  const gatekeeper: TestGatekeeper = {
    address: '',
    port: 0,
    certificate,
    member,
    codec: coordinatorCodec(member.privateKey, (runner) => table.sealingKey(runner)),
    lines,
    secretsFile,
    certificateFile,
    pid: () => child?.pid ?? 0,
    health: async () =>
      (await (await fetch(`http://127.0.0.1:${health}/health`)).json()) as Awaited<
        ReturnType<TestGatekeeper['health']>
      >,
    metrics: async () => (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text(),
    refusals: () => {
      const fresh = lines.slice(told);
      told = lines.length;
      return fresh.filter(({ msg }) => msg === 'refused').map((line) => String(line['reason']));
    },
    start,
    end: async (signal) => {
      const ending = child;
      child = null;
      if (!ending || ending.exitCode !== null || ending.signalCode !== null) return ending?.exitCode ?? null;
      ending.removeAllListeners('exit');
      const exited = new Promise<number | null>((resolve) => ending.once('exit', resolve));
      ending.kill(signal);
      return exited;
    },
  };
  await start();
  return gatekeeper;
}

const nowhere = {
  chainId: 31337,
  token: `0x${'01'.repeat(20)}`,
  consortium: `0x${'02'.repeat(20)}`,
  jobs: `0x${'03'.repeat(20)}`,
  rewards: `0x${'04'.repeat(20)}`,
  judges: Object.fromEntries(
    ['sums', 'leaves', 'data', 'rewards', 'receipts', 'seals', 'robust'].map((name, i) => [
      name,
      `0x${String(i + 10).repeat(20)}`,
    ]),
  ),
  block: 1,
};

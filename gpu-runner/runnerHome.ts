import { chmod, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { signingDomain } from '#core/messages.js';
import { address, count, parseMessage, slug } from '#core/schema.js';
import { networkSettings } from '#services/chain/networks.js';
import { parseYaml } from '#services/yamlFile.js';
import { errorNumber, messageOf } from './failures.js';
import { writeDurably } from './files.js';
import { policySchema, type Policy, type WrittenPolicy } from './policy.js';

const httpUrl = z.url({ protocol: /^https?$/ });

/** runner.yaml: who the runner is, on which chain, and which stacks it works for. */
export const runnerConfig = z.strictObject({
  name: slug,
  /** The member that the runner belongs to. */
  member: address,
  chain: z.strictObject({
    ...signingDomain.shape,
    /** Where entries at stacks are signed for, and where members and runners are found. */
    consortium: address,
    /** Needed to find stacks, to register and to leave. */
    rpcUrls: z.array(httpUrl).max(16).default([]),
    /** Where a receipt is shown; without it the runner keeps its receipts and claims nothing. */
    receiptJudge: address.optional(),
    /** Where the runner opens what it sealed, when it is asked on chain; without it its stake can be lost. */
    sealJudge: address.optional(),
    /** Block of the Consortium's creation: nothing before it is looked at. */
    block: count.default(0),
    /** What differs from the table of chains in docs/payments.md, or describes one that is not in it. */
    network: networkSettings.optional(),
  }),
  /** `auto`: of the members that policy.yaml allows. An address alone: at the URL that the member has on chain. */
  stacks: z
    .union([
      z.literal('auto'),
      z
        .array(z.union([address, z.strictObject({ coordinator: address, api: httpUrl })]))
        .min(1)
        .max(64),
    ])
    .default('auto'),
  /** Arweave gateways, where the manifests of rounds are read; what they give is checked against the chain. */
  gateways: z.array(httpUrl).min(1).max(16).default(['https://arweave.net']),
  /** Hosts (`name` or `name:port`) to which stacks may send the runner though they are in a private network. */
  privateHosts: z.array(z.string().max(260)).max(16).default([]),
});
export type WrittenConfig = z.input<typeof runnerConfig>;
export type RunnerConfig = z.output<typeof runnerConfig>;

/** A runner's folder. Its owner fills in runner.yaml, key, policy.yaml and data; the runner writes the rest. */
export interface RunnerHome {
  folder: string;
  config: RunnerConfig;
  paths: HomePaths;
}

export interface HomePaths {
  config: string;
  /** The runner's EVM key, encrypted; or `key`, in plain text. */
  keystore: string;
  key: string;
  /** Behind the runner's certificates; made when missing. */
  tlsKey: string;
  /** Opens what coordinators encrypt for the runner; made when missing. */
  sealingKey: string;
  policy: string;
  /** NAME.safetensors for each data contract. */
  data: string;
  /** One folder for each job and round: the update as it was signed. */
  work: string;
  /** Coordinators' receipts for updates, see receiptBook.ts. */
  receipts: string;
  /** Running statistics of BatchNorm that are this runner's own, see localStatistics.ts. */
  statistics: string;
  /** Models by content hash, a cache. */
  models: string;
  /** Transactions that the runner's key has signed. */
  intents: string;
  /** What the runner decided, see decisionLog.ts. */
  decisions: string;
  decisionsHead: string;
  lock: string;
}

/** @throws HOME_INVALID with every mistake of runner.yaml and policy.yaml */
export async function readRunnerHome(folder: string): Promise<RunnerHome> {
  const paths = homePaths(folder);
  const [config, policy] = await Promise.allSettled([
    readYaml(paths.config, runnerConfig),
    readPolicy(paths),
  ]);
  const mistakes = [config, policy].flatMap((result) =>
    result.status === 'rejected' ? [messageOf(result.reason)] : [],
  );
  if (config.status === 'rejected' || mistakes.length > 0)
    throw new RoundtableError(
      'HOME_INVALID',
      `The runner cannot start from ${folder}.\n${mistakes.join('\n')}`,
    );
  for (const path of [paths.data, paths.work, paths.models]) await mkdir(path, { recursive: true });
  return { folder, config: config.value, paths };
}

/** The owner's rules as they stand now; without the file nothing is allowed. @throws HOME_INVALID */
export async function readPolicy(paths: HomePaths): Promise<Policy> {
  return readYaml(paths.policy, policySchema, {});
}

/**
 * Creates the folder of a new runner, for set-ups that do it for the owner. Data files are added to `data`.
 * @returns its paths
 */
export async function writeRunnerHome(
  folder: string,
  contents: { config: WrittenConfig; key: `0x${string}`; policy: WrittenPolicy },
): Promise<HomePaths> {
  const paths = homePaths(folder);
  for (const path of [folder, paths.data, paths.work, paths.models]) await mkdir(path, { recursive: true });
  await chmod(folder, 0o700);
  await writeDurably(paths.key, `${contents.key}\n`, 0o600);
  await writeDurably(paths.config, stringify(runnerConfig.parse(contents.config)));
  policySchema.parse(contents.policy);
  await writeDurably(paths.policy, stringify(contents.policy));
  return paths;
}

export function homePaths(folder: string): HomePaths {
  return {
    config: join(folder, 'runner.yaml'),
    keystore: join(folder, 'keystore.json'),
    key: join(folder, 'key'),
    tlsKey: join(folder, 'tls.key'),
    sealingKey: join(folder, 'sealing.key'),
    policy: join(folder, 'policy.yaml'),
    data: join(folder, 'data'),
    work: join(folder, 'work'),
    receipts: join(folder, 'receipts'),
    statistics: join(folder, 'statistics'),
    models: join(folder, 'models'),
    intents: join(folder, 'intents'),
    decisions: join(folder, 'decisions.log'),
    decisionsHead: join(folder, 'decisions.head'),
    lock: join(folder, 'lock'),
  };
}

async function readYaml<T extends z.ZodType>(
  path: string,
  schema: T,
  whenMissing?: unknown,
): Promise<z.output<T>> {
  try {
    return parseMessage(schema, parseYaml(await readFile(path, 'utf8'), path) ?? {}, path);
  } catch (error) {
    if (errorNumber(error) === 'ENOENT') {
      if (whenMissing !== undefined) return schema.parse(whenMissing);
      throw new RoundtableError(
        'HOME_INVALID',
        `${path} does not exist; docs/runner.md says what belongs into it.`,
      );
    }
    throw new RoundtableError('HOME_INVALID', messageOf(error), { cause: error });
  }
}

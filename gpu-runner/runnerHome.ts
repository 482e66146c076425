import { chmod, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify, YAMLError } from 'yaml';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { signingDomain } from '#core/messages.js';
import { address, parseMessage, slug } from '#core/schema.js';
import { errorNumber, messageOf } from './failures.js';
import { writeDurably } from './files.js';
import { policySchema, type Policy, type WrittenPolicy } from './policy.js';

/** runner.yaml: who the runner is, and the one stack it works for. */
export const runnerConfig = z.strictObject({
  name: slug,
  /** The member that registered the runner's key on chain. */
  member: address,
  stack: z.strictObject({
    api: z.url({ protocol: /^https?$/ }),
    /** Address of the stack's member: requests are signed for it, tasks must come from it. */
    coordinator: address,
  }),
  /** Where updates are signed for (a task with another domain is refused), and entries at stacks. */
  chain: z.strictObject({ ...signingDomain.shape, consortium: address }),
});
export type RunnerConfig = z.output<typeof runnerConfig>;

/** A runner's folder. Its owner fills in runner.yaml, key, policy.yaml and data; the runner writes the rest. */
export interface RunnerHome {
  folder: string;
  config: RunnerConfig;
  paths: HomePaths;
}

export interface HomePaths {
  config: string;
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
  /** Models by content hash, a cache. */
  models: string;
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
  contents: { config: RunnerConfig; key: `0x${string}`; policy: WrittenPolicy },
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

function homePaths(folder: string): HomePaths {
  return {
    config: join(folder, 'runner.yaml'),
    key: join(folder, 'key'),
    tlsKey: join(folder, 'tls.key'),
    sealingKey: join(folder, 'sealing.key'),
    policy: join(folder, 'policy.yaml'),
    data: join(folder, 'data'),
    work: join(folder, 'work'),
    models: join(folder, 'models'),
    lock: join(folder, 'lock'),
  };
}

async function readYaml<T extends z.ZodType>(
  path: string,
  schema: T,
  whenMissing?: unknown,
): Promise<z.output<T>> {
  try {
    return parseMessage(schema, parse(await readFile(path, 'utf8')) ?? {}, path);
  } catch (error) {
    if (errorNumber(error) === 'ENOENT') {
      if (whenMissing !== undefined) return schema.parse(whenMissing);
      throw new RoundtableError(
        'HOME_INVALID',
        `${path} does not exist; docs/runner.md says what belongs into it.`,
      );
    }
    if (error instanceof YAMLError)
      throw new RoundtableError('HOME_INVALID', `${path} is not YAML: ${error.message}`, { cause: error });
    throw new RoundtableError('HOME_INVALID', messageOf(error), { cause: error });
  }
}

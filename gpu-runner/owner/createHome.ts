import { chmod, mkdir, stat } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { toHex, type Hex, type RunnerId } from '#core/hex.js';
import { readEntryKeys } from '../entryKeys.js';
import { writeDurably } from '../files.js';
import { hasKey, readAddress, writeKeystore } from '../keystore.js';
import { homePaths, type HomePaths } from '../runnerHome.js';

/** What runner.yaml is to say; what nobody knows yet is left for the owner to fill in. */
export interface HomeFacts {
  name?: string | undefined;
  member?: Hex | undefined;
  rpcUrls: string[];
  chain?:
    | { chainId: number; consortium: Hex; jobs: Hex; receiptJudge: Hex; sealJudge: Hex; block: number }
    | undefined;
  /** A stack that the owner named with its URL. */
  stack?: { coordinator: Hex; api: string } | undefined;
}

export interface CreatedHome {
  address: RunnerId;
  paths: HomePaths;
  /** Names of the files that were made; what was there before was left as it is. */
  made: string[];
}

/**
 * Makes what a runner's home lacks, and never overwrites anything.
 * @param importedKey the owner's own EVM key; a new one is made if not given
 * @throws KEY_INVALID for an imported key that is none
 */
export async function createHome(
  folder: string,
  facts: HomeFacts,
  passphrase: () => Promise<string>,
  importedKey?: Hex,
): Promise<CreatedHome> {
  const paths = homePaths(folder);
  const made: string[] = [];
  const missing = async (path: string, name: string): Promise<boolean> => {
    if (await isThere(path)) return false;
    made.push(name);
    return true;
  };
  // Asked for first: whoever breaks off here has made nothing.
  const chosen = (await hasKey(paths)) ? null : await passphrase();
  for (const path of [folder, paths.data, paths.work, paths.models]) await mkdir(path, { recursive: true });
  await chmod(folder, 0o700);
  if (chosen !== null) {
    await writeKeystore(paths.keystore, importedKey ?? newKey(), chosen);
    made.push('keystore.json');
  }
  const [tlsKey, sealingKey] = [
    await missing(paths.tlsKey, 'tls.key'),
    await missing(paths.sealingKey, 'sealing.key'),
  ];
  if (tlsKey || sealingKey) await readEntryKeys(paths);
  if (await missing(paths.config, 'runner.yaml')) await writeDurably(paths.config, configText(facts));
  if (await missing(paths.policy, 'policy.yaml')) await writeDurably(paths.policy, policyText(facts));
  return { address: await readAddress(paths), paths, made };
}

/** Out of range once in 2^128; runnerKey refuses it then. */
const newKey = (): Hex => toHex(randomBytes(32));

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

const quoted = (value: string | undefined, wanted: string): string => `'${value ?? `FILL IN: ${wanted}`}'`;

function configText({ name, member, rpcUrls, chain, stack }: HomeFacts): string {
  const anAddress = '0x and 40 digits';
  return [
    '# Who this runner is. Its address and keys lie beside this file.',
    `name: ${quoted(name, 'lower-case letters, digits, hyphens')}`,
    '# The member (organisation) that it belongs to.',
    `member: ${quoted(member, anAddress)}`,
    '',
    'chain:',
    `  chainId: ${chain?.chainId ?? "'FILL IN: such as 8453'"}`,
    `  consortium: ${quoted(chain?.consortium, anAddress)}`,
    `  jobs: ${quoted(chain?.jobs, anAddress)}`,
    ...(chain ? [`  receiptJudge: '${chain.receiptJudge}'`, `  sealJudge: '${chain.sealJudge}'`] : []),
    `  block: ${chain?.block ?? 0}`,
    '  # Nodes of the chain, to register, to leave and to find stacks.',
    ...(rpcUrls.length > 0
      ? ['  rpcUrls:', ...rpcUrls.map((url) => `    - '${url}'`)]
      : ["  rpcUrls: ['FILL IN: https://…']"]),
    '',
    '# Stacks to work for. auto: those of the members that policy.yaml allows, at the URLs that they have on chain.',
    ...(stack
      ? ['stacks:', `  - coordinator: '${stack.coordinator}'`, `    api: '${stack.api}'`]
      : ['stacks: auto']),
    '',
  ].join('\n');
}

function policyText({ stack }: HomeFacts): string {
  return `# What this runner may do. A task must meet one of the rules in all points; without rules every task is refused.
# It is read again for every task. Check it with: roundtable-runner policy check
allow: []
# allow:
#   - coordinators: ['${stack?.coordinator ?? '0x…'}'] # members whose tasks it takes
#     jobs: ['digits', 'retina-*'] # which jobs; * stands for any characters
#     data: ['digits'] # on which data sets
#     purposes: ['research'] # only jobs that name one of these purposes; left out: any or none
#     fewestRunners: 3 # not in rounds of fewer runners

# throttle: 2 # trains half of the time and rests the other half
# receipts: enforce # an update that is left out is asked for on chain: its bond, and gas, are paid from the runner's account
# hours: # when tasks may begin
#   zone: Europe/Berlin
#   spans: ['mon-fri 20:00-06:00', 'sat-sun 00:00-24:00']
# idle: # only while other work uses less than so many percent
#   cpuBelow: 30
#   gpuBelow: 10
# power: # what each NVIDIA GPU may draw
#   watts: 250
# limits: # what a training may take
#   memoryMegabytes: 4000
#   minutes: 30
`;
}

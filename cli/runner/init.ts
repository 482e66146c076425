import { z } from 'zod';
import type { Command } from 'commander';
import { deployment } from '#contracts/deployment.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { address, parseMessage, slug } from '#core/schema.js';
import { createHome, type CreatedHome, type HomeFacts } from '#gpu-runner/owner/createHome.js';
import { readAtMost } from '#services/readAtMost.js';
import type { Context } from '../command.js';
import { newPassphraseOf } from './home.js';

export interface InitOptions {
  name?: string;
  member?: string;
  stack?: string;
  rpcUrl?: string[];
  import?: boolean;
  passphraseFile?: string;
}

export const addInitOptions = (command: Command): Command =>
  command
    .option('--name <name>', "the runner's name, for people")
    .option('--member <address>', 'the member that the runner belongs to (default: the one of --stack)')
    .option('--stack <url>', 'a stack to work for; chain and contracts are taken from it')
    .option('--rpc-url <url...>', 'nodes of the chain')
    .option('--import', 'take the EVM key from standard input instead of making one')
    .option('--passphrase-file <file>', "holds the passphrase of the runner's key");

/** @throws INVALID_INPUT, UNAVAILABLE when the stack does not answer, KEY_INVALID for an imported key */
export async function initHome(
  context: Context,
  folder: string,
  options: InitOptions,
): Promise<CreatedHome & { chainId: number | null }> {
  const {
    name,
    member,
    rpcUrl = [],
  } = parseMessage(
    z.object({
      name: slug.optional(),
      member: z.string().toLowerCase().pipe(address).optional(),
      rpcUrl: z.array(z.url({ protocol: /^https?$/ })).optional(),
    }),
    { name: options.name, member: options.member, rpcUrl: options.rpcUrl },
    'The command line',
  );
  const stack = options.stack === undefined ? null : await askStack(options.stack, context.signal);
  const facts: HomeFacts = {
    name,
    member: member ?? stack?.coordinator,
    rpcUrls: rpcUrl,
    chain: stack?.chain,
    stack: stack ?? undefined,
  };
  const key = options.import ? importedKey(await context.readInput()) : undefined;
  const passphrase = newPassphraseOf(context, options.passphraseFile);
  const created = await createHome(folder, facts, passphrase, key);
  return { ...created, chainId: stack?.chain.chainId ?? null };
}

/** Without a link to the input in any message. */
function importedKey(text: string): Hex {
  const key = text.trim();
  if (/^0x[0-9a-fA-F]{64}$/.test(key)) return key as Hex;
  throw new RoundtableError(
    'KEY_INVALID',
    'Standard input does not hold a private key: 0x and 64 hexadecimal digits.',
  );
}

const health = z.looseObject({ stack: address, deployment });

/** What a stack says of itself; the owner named it, and sees what came of it in runner.yaml. */
async function askStack(url: string, signal: AbortSignal) {
  if (!URL.canParse(url)) throw new RoundtableError('INVALID_INPUT', '--stack is not a URL.');
  const { origin, pathname } = new URL(url);
  const api = (origin + pathname).replace(/\/+$/, '');
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(10_000)]);
    const response = await fetch(`${api}/health`, { signal: limit });
    const answer: unknown = JSON.parse((await readAtMost(response, 65_536, 'The stack')).toString());
    const { stack, deployment: contracts } = parseMessage(health, answer, `${api}/health`);
    const { chainId, consortium, jobs, block, judges } = contracts;
    const chain = {
      chainId,
      consortium,
      jobs,
      receiptJudge: judges.receipts,
      sealJudge: judges.seals,
      block,
    };
    return { coordinator: stack, api, chain };
  } catch (cause) {
    if (cause instanceof RoundtableError) throw cause;
    throw new RoundtableError('UNAVAILABLE', `No stack answers at ${api}. Check the URL.`, { cause });
  }
}

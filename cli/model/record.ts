import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { openSavedChain, recordChain } from '#audit/index.js';
import type { AuditChain } from '#audit/index.js';
import { deployment, type Deployment } from '#contracts/deployment.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { parseMessage } from '#core/schema.js';
import { openArchive, type GatewayAnswer } from '#services/archive.js';
import type { Chain } from '#services/chain.js';
import type { StackFile } from '#local/stackFile.js';
import { openChainOf } from '../chain.js';
import { UsageError, type Context } from '../command.js';
import {
  readSavedChain,
  savedArchive,
  savingArchive,
  writeSavedChain,
  type ReadArchive,
} from './savedRecord.js';

/** Where chain and archive are read; what is not given comes from the stack file. */
export interface RecordOptions {
  rpc?: string[];
  gateway?: string[];
  deployment?: string;
  offline?: string;
  save?: string;
}

/** Chain and archive, without any part of a coordinator's stack. */
export interface PublicRecord {
  chain: AuditChain;
  archive: ReadArchive;
  /** Set when no node was asked: who says what the chain holds. */
  chainRecord?: string;
  /** The stack on this machine, whose runners' updates and members' keys may help; null when there is none. */
  stack: StackFile | null;
  /** What was asked, and what it answered. */
  asked(): RecordReport;
  /** Writes what was read into the folder of --save, if there is one. */
  save(): Promise<void>;
  close(): void;
}

export interface RecordReport {
  /** Hosts of nodes, or the folder. */
  chain: string[];
  gateways: { gateway: string; served: number; absent: number; wrong: string[]; unreachable: number }[];
  /** Which gateway gave which file. */
  served: { id: string; gateway: string }[];
}

/** @throws UsageError when neither options nor a stack say where chain and archive are */
export async function openRecord(context: Context, options: RecordOptions): Promise<PublicRecord> {
  const stack = stackOf(context);
  if (options.offline !== undefined) return openOffline(context, options, stack);
  const { rpc, gateway, deployment: given } = placeOfRecord(context, options);
  const answers: GatewayAnswer[] = [];
  const archive = openArchive({ gateways: gateway, onAnswer: (answer) => void answers.push(answer) });
  const chain = openChainOf(context, { rpcUrls: rpc, deployment: given });
  const hosts = rpc.map(hostOf);
  const folder = options.save === undefined ? undefined : resolve(context.folder, options.save);
  const recorder = folder === undefined ? undefined : recordChain(chain);
  return {
    chain: recorder?.chain ?? chain,
    archive: folder === undefined ? archive : savingArchive(archive, folder),
    stack,
    asked: () => ({ chain: hosts, gateways: tally(gateway, answers), served: servedBy(answers) }),
    async save() {
      if (folder === undefined || !recorder) return;
      const taken = { at: new Date().toISOString(), block: await chain.blockNumber(), from: hosts };
      writeSavedChain(folder, await recorder.take(taken));
    },
    close: () => chain.close(),
  };
}

/** Chain and archive themselves, for whoever also sends. @throws UsageError as openRecord */
export function openPlace(
  context: Context,
  options: RecordOptions,
): { chain: Chain; archive: ReadArchive; stack: StackFile | null; hosts: string[] } {
  const { rpc, gateway, deployment: given } = placeOfRecord(context, options);
  return {
    chain: openChainOf(context, { rpcUrls: rpc, deployment: given }),
    archive: openArchive({ gateways: gateway }),
    stack: stackOf(context),
    hosts: rpc.map(hostOf),
  };
}

/** Where chain and archive are: as the options say, else as the stack says. @throws UsageError when neither does */
export function placeOfRecord(
  context: Context,
  options: Pick<RecordOptions, 'rpc' | 'gateway' | 'deployment'>,
): { rpc: string[]; gateway: string[]; deployment: unknown } {
  const stack = stackOf(context);
  const given = {
    rpc: options.rpc ?? (stack ? [stack.chain.rpcUrl] : undefined),
    gateway: options.gateway ?? (stack ? [stack.gateway] : undefined),
    deployment:
      options.deployment === undefined
        ? stack?.chain.deployment
        : readDeployment(context, options.deployment),
  };
  const missing = Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [`--${name}`] : [],
  );
  if (missing.length > 0)
    throw new UsageError(
      `There is no stack in ${context.state}, so ${missing.join(' and ')} must say where chain and archive are (\`model verify\` also reads --offline DIR, a saved record).`,
    );
  const { rpc = [], gateway = [], deployment } = given;
  return { rpc, gateway, deployment };
}

function openOffline(context: Context, options: RecordOptions, stack: StackFile | null): PublicRecord {
  if (options.rpc ?? options.gateway ?? options.deployment ?? options.save)
    throw new UsageError(
      '--offline reads a folder and nothing else: leave out --rpc, --gateway, --deployment, --save.',
    );
  const folder = resolve(context.folder, options.offline ?? '');
  const saved = readSavedChain(folder);
  const { at, block, from } = saved.taken;
  return {
    chain: openSavedChain(saved),
    archive: savedArchive(folder),
    chainRecord: `the chain's words come from ${options.offline ?? ''}/chain.json, as ${from.join(', ')} gave them on ${at.slice(0, 16).replace('T', ' ')} UTC up to block ${block}; that they are the chain's stands on the word of whoever made the folder`,
    stack,
    asked: () => ({ chain: [folder], gateways: [], served: [] }),
    save: () => Promise.resolve(),
    close: () => undefined,
  };
}

function stackOf(context: Context): StackFile | null {
  try {
    return context.stack();
  } catch (error) {
    if (isRoundtableError(error, 'NOT_FOUND')) return null;
    throw error;
  }
}

function readDeployment(context: Context, file: string): Deployment {
  const path = resolve(context.folder, file);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new RoundtableError(
      'INVALID_INPUT',
      `${path} cannot be read as JSON. It holds the addresses of the consortium's contracts (docs/verify.md).`,
      { cause },
    );
  }
  return parseMessage(deployment, json, path);
}

function tally(gateways: readonly string[], answers: readonly GatewayAnswer[]): RecordReport['gateways'] {
  return gateways.map((url) => {
    const gateway = url.replace(/\/+$/, '');
    const of = (said: GatewayAnswer['said']) =>
      answers.filter((answer) => answer.gateway === gateway && answer.said === said).map(({ id }) => id);
    return {
      gateway,
      served: new Set(of('served')).size,
      absent: of('absent').length,
      wrong: [...new Set(of('wrong'))],
      unreachable: of('unreachable').length,
    };
  });
}

function servedBy(answers: readonly GatewayAnswer[]): RecordReport['served'] {
  const served = answers
    .filter(({ said }) => said === 'served')
    .map(({ id, gateway }) => [id, gateway] as const);
  return [...new Map(served)].map(([id, gateway]) => ({ id, gateway }));
}

/** The rest of a node's URL often holds a key. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}

import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { readStackFile, stackFilePath, writeStackFile, type StackFile } from '#local/stackFile.js';
import { openApi, readWallet } from '../api.js';
import { addVerb, type Context } from '../command.js';
import { readSealingKey } from '../model/sources.js';
import type { Verb } from '../run.js';
import { readParameters, type StageAccount } from '../stage/account.js';
import { openStage } from './deploy.js';

interface ConnectOptions {
  stage: string;
  settings: string;
  key: string;
  sealing?: string;
  rpc: string;
  api?: string;
}

/** Gives the verbs that speak to a stack of this machine a deployed one to speak to. */
export const connectVerb: Verb = (program, does) => {
  addVerb(
    program,
    'connect',
    'write a state folder for a deployed stage, so that job, trigger, rewards and queue speak to it',
    'connect --state production --stage production --key member.key --rpc https://node.example.org',
  )
    .requiredOption('--stage <name>', 'the stage, with its settings in infra/stages')
    .requiredOption('--key <file>', "the member's EVM key, which signs requests; it is read where it lies")
    .requiredOption('--rpc <url>', 'a node of the chain')
    .option('--sealing <file>', "the member's X25519 key, which opens updates and encrypted models")
    .option('--settings <folder>', "folder of the stages' settings", 'infra/stages')
    .option('--api <url>', "the stage's API (default: as its parameter has it)")
    .action(
      does<ConnectOptions>(async (context, options) => {
        const stage = openStage(options.stage, resolve(context.folder, options.settings));
        const stack = await describe(context, stage, options);
        refuseLocal(context, stack);
        await checkApi(stack);
        mkdirSync(context.state, { recursive: true, mode: 0o700 });
        writeStackFile(context.state, stack);
        const file = stackFilePath(context.state);
        context.print({ file, api: stack.api, stack: stack.coordinator }, () => [
          `${file} names the stage ${options.stage} at ${stack.api}, the stack of ${stack.coordinator}.`,
          `Verbs speak to it with --state ${context.state}, or ROUNDTABLE_STATE=${context.state}.`,
        ]);
      }),
    );
};

async function describe(context: Context, stage: StageAccount, options: ConnectOptions): Promise<StackFile> {
  const { settings } = stage;
  const key = resolve(context.folder, options.key);
  const signer = readWallet(key).address.toLowerCase();
  if (signer !== settings.coordinator)
    throw new RoundtableError(
      'FORBIDDEN',
      `${options.key} is the key of ${signer}; the settings of ${stage.stage} name ${settings.coordinator}.`,
    );
  const sealing = options.sealing === undefined ? undefined : resolve(context.folder, options.sealing);
  if (sealing !== undefined) readSealingKey(sealing);
  const given = options.api === undefined ? await readParameters(stage) : new Map<string, string>();
  const api = options.api ?? given.get('api/url');
  if (api === undefined)
    throw new RoundtableError(
      'NOT_FOUND',
      `The stage ${stage.stage} has given no api/url yet. Deploy the app plane (sst deploy), or name its address with --api.`,
    );
  const [gateway = ''] = settings.arweaveGateways;
  return {
    api: api.replace(/\/+$/, ''),
    gateway,
    chain: { rpcUrl: options.rpc, deployment: settings.deployment },
    temporal: { address: settings.temporal?.address ?? given.get('temporal/address') ?? 'inside', ui: null },
    coordinator: settings.coordinator,
    keys: { coordinator: key },
    members: [
      { name: 'member', address: settings.coordinator, key, ...(sealing !== undefined && { sealing }) },
    ],
    runners: [],
  };
}

/** The folder of a stack of this machine stays its own. */
function refuseLocal(context: Context, { api }: StackFile): void {
  const known = existsSync(stackFilePath(context.state)) ? readStackFile(context.state).api : api;
  if (known === api && !existsSync(join(context.state, 'ports.json'))) return;
  throw new RoundtableError(
    'CONFLICT',
    `${context.state} belongs to the stack at ${known}. Name another folder with --state.`,
  );
}

/** @throws FORBIDDEN when another stack answers there, CHAIN_WRONG_NETWORK when it is one on another chain */
async function checkApi({ api, coordinator, keys, chain }: StackFile): Promise<void> {
  const health = await openApi({ url: api, audience: coordinator, keyFile: keys.coordinator }).health();
  if (health.stack !== coordinator)
    throw new RoundtableError('FORBIDDEN', `${api} is the stack of ${health.stack}, not of ${coordinator}.`);
  const { chainId } = chain.deployment as StageAccount['settings']['deployment'];
  if (health.chainId !== chainId)
    throw new RoundtableError(
      'CHAIN_WRONG_NETWORK',
      `${api} works on chain ${health.chainId}; the settings name ${chainId}.`,
    );
}

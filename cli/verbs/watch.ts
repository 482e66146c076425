import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Wallet } from 'ethers';
import type { Command } from 'commander';
import type { AuditSources, UpdateSource } from '#audit/index.js';
import { SealDemands } from '#audit/sealDemands.js';
import { Watcher, type Observation } from '#audit/watcher.js';
import { isRoundtableError, RoundtableError, type ErrorDetails } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { createSender } from '#services/chainSender.js';
import { outboundRules } from '#services/outboundUrl.js';
import { sha256 } from '#services/sha256.js';
import { readWallet } from '../api.js';
import { addVerb, CheckFailed, UsageError, type Context } from '../command.js';
import { openPlace, placeOfRecord, type RecordOptions } from '../model/record.js';
import { addAuditorOptions, addPlaceOptions } from '../model/recordOptions.js';
import { sealingKeys, unsealWith } from '../model/sources.js';
import { openWith } from '../model/updates.js';
import { updateSourceOf } from '../model/updateSource.js';
import { intentsHere } from '../rewards/accounts.js';
import type { Verb } from '../run.js';
import { attestEveryMs, attestWhenDrawn } from '../watch/attesting.js';
import { observationLines } from '../watch/observation.js';
import { sealLines } from '../watch/seals.js';

interface WatchOptions extends RecordOptions {
  key?: string;
  updates?: string[];
  sealingKey?: string[];
  dryRun?: boolean;
  once?: boolean;
  demandSeals?: boolean;
}

const keyVariable = 'ROUNDTABLE_WATCH_KEY';

export const watchVerb: Verb = (program, does) => {
  const watch: Command = addVerb(
    program,
    'watch',
    'judge every round and epoch while it can be disputed, and convict whoever lied',
    'watch --key watcher.key --rpc https://NODE --rpc https://ANOTHER --gateway https://arweave.net --deployment consortium.json',
    'watch --dry-run --once --json',
  )
    .option(
      '--key <file>',
      `EVM key whose account pays gas and questions' bonds, and is rewarded (or $${keyVariable})`,
    )
    .option('--dry-run', 'send nothing: say what would be sent')
    .option(
      '--demand-seals',
      'ask runners on chain for what they sealed and did not show: a bond each, which they win by opening it',
    )
    .option('--once', 'look once instead of for ever; exit 1 unless nothing is wrong');
  addAuditorOptions(addPlaceOptions(watch)).action(
    does<WatchOptions>(async (context, options) => {
      if (options.demandSeals && options.dryRun)
        throw new UsageError('--dry-run sends nothing, so it demands nothing: leave one of the two out.');
      const wallet = walletOf(context, options);
      const { chain, archive, stack, hosts } = openPlace(context, options);
      try {
        const keys = sealingKeys(
          stack,
          options.sealingKey?.map((file) => resolve(context.folder, file)),
        );
        const updates = () => updateSourceOf(context, stack, options, keys);
        const unseal = unsealWith(keys);
        let known: UpdateSource = updates();
        const sources: AuditSources = {
          chain,
          archive,
          hash: sha256,
          ...(unseal ? { unseal: (envelope: Uint8Array, hash: Hex) => unseal(envelope, hash) } : {}),
          updateSource: (wanted) => known(wanted),
        };
        const sender = wallet && createSender({ chain, wallet, intents: intentsHere(context.state) });
        const watcher = new Watcher(sources, sender);
        const seals = options.demandSeals && sender ? new SealDemands(sources, sender) : null;
        const window = await started(() => chain.disputeWindow(), context, options);
        const as = sender?.address ?? null;
        const isMember = as !== null && (await chain.isMember(as));
        const rules = outboundRules(placeOfRecord(context, options).rpc);
        const attesting =
          wallet && isMember
            ? attestWhenDrawn(context, { sources, wallet, rules, open: openWith(keys) })
            : null;
        const told = { watching: hosts, chain: chain.deployment.chainId, window, reporter: as };
        context.print({ ...told, attests: isMember }, () => [
          `Watching chain ${chain.deployment.chainId} as ${hosts.join(', ')} has it; rounds can be disputed for ${window} s.`,
          as === null ? 'Nothing is sent: --dry-run.' : `${as} sends what convicts.`,
          ...(isMember ? ['It is a member: where it is drawn, it attests rounds before they close.'] : []),
        ]);
        const seen: Observation[] = [];
        const say = (observation: Observation): void => {
          seen.push(observation);
          context.print(observation, () => observationLines(context.terminal.theme(), observation));
        };
        // Often enough that commitment, report and a second look fit into the window many times.
        const everyMs = 1_000 * Math.min(30, Math.max(1, window / 20));
        const look = async () => {
          known = updates();
          await watcher.look(say);
          await seals?.look((view) =>
            context.print({ subject: 'seal', ...view }, () => sealLines(context.terminal.theme(), view)),
          );
        };
        if (options.once === true) {
          await look();
          await attesting?.();
          if (seen.some(({ outcome }) => outcome !== 'holds')) throw new CheckFailed();
        } else
          await Promise.all([
            untilInterrupted(look, everyMs, context),
            attesting && untilInterrupted(attesting, attestEveryMs, context),
          ]);
      } finally {
        chain.close();
      }
    }),
  );
};

/** Goes on through whatever may pass; only what a person has to mend ends it. */
async function untilInterrupted(look: () => Promise<void>, everyMs: number, context: Context): Promise<void> {
  let trouble = '';
  for (let failures = 0; !context.signal.aborted;) {
    try {
      await look();
      failures = 0;
      trouble = '';
    } catch (error) {
      if (!passes(error)) throw error;
      failures += 1;
      if (error.message !== trouble) tell(context, error);
      trouble = error.message;
    }
    const wait = Math.min(60_000, everyMs * 2 ** Math.min(failures, 6));
    await pause(wait, undefined, { signal: context.signal }).catch(() => undefined);
  }
}

/** The first question to the chain: a node that is down now may come back. */
async function started<T>(ask: () => Promise<T>, context: Context, { once }: WatchOptions): Promise<T> {
  if (once === true) return ask();
  const answers: T[] = [];
  const first = new AbortController();
  const signal = AbortSignal.any([context.signal, first.signal]);
  const work = async () => {
    answers.push(await ask());
    first.abort();
  };
  await untilInterrupted(work, 1_000, { ...context, signal });
  const [answer] = answers;
  if (answer === undefined)
    throw new RoundtableError('UNAVAILABLE', 'It was ended before the chain answered.');
  return answer;
}

const passing = ['CHAIN_UNREACHABLE', 'CHAIN_REFUSED', 'CHAIN_DISAGREES', 'CHAIN_NOT_MINED', 'UNAVAILABLE'];

function passes(error: unknown): error is RoundtableError & { details: ErrorDetails } {
  return isRoundtableError(error) && passing.includes(error.code);
}

function tell({ json, terminal }: Context, { code, message }: RoundtableError): void {
  const line = json ? JSON.stringify({ trouble: { code, message } }) : `${code}: ${message} Trying again.`;
  terminal.writeError(`${line}\n`);
}

/** Null for --dry-run, which needs no key. */
function walletOf(context: Context, { key, dryRun }: WatchOptions): Wallet | null {
  if (dryRun === true) return null;
  if (key !== undefined) return readWallet(resolve(context.folder, key));
  const text = context.environment[keyVariable];
  if (text === undefined)
    throw new UsageError(
      `Who pays for what convicts, and is rewarded? Give --key FILE or $${keyVariable}, or --dry-run to send nothing.`,
    );
  try {
    return new Wallet(text.trim());
  } catch {
    throw new RoundtableError(
      'INVALID_INPUT',
      `$${keyVariable} holds no private key: 0x and 64 hexadecimal digits.`,
    );
  }
}

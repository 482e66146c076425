import { setTimeout as delay } from 'node:timers/promises';
import { Wallet } from 'ethers';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { ConsortiumChain } from '#services/chain.js';
import { createSender } from '#services/chainSender.js';
import { folderIntents } from '#services/folderIntents.js';
import type { DecisionLog } from './decisionLog.js';
import { messageOf } from './failures.js';
import type { Log } from './log.js';
import { isJudge } from './receiptClaims.js';
import type { RunnerHome } from './runnerHome.js';
import { openDemanded, type OpeningParts } from './sealOpening.js';
import type { SignedWork } from './signedWork.js';

const SHORTEST_LOOK_MS = 1_000;
const LONGEST_LOOK_MS = 30_000;

interface KeeperParts {
  home: RunnerHome;
  privateKey: Hex;
  work: SignedWork;
  chain: ConsortiumChain;
  decisions: Pick<DecisionLog, 'append'>;
  log: Log;
}

/**
 * Opens on chain, until the signal, what the runner has sealed and is asked to open there: whoever does not loses its stake.
 * While it has sealed nothing, nothing is read.
 */
export async function keepSeals(parts: KeeperParts, signal: AbortSignal): Promise<void> {
  const { work, chain, log } = parts;
  const said = new Set<string>();
  let opening: OpeningParts | null = null;
  let from = 0;
  let pause = SHORTEST_LOOK_MS;
  while (!signal.aborted) {
    await delay(pause, undefined, { signal }).catch(() => undefined);
    if (signal.aborted || !(await work.seals.isUsed())) continue;
    try {
      opening ??= await openParts(parts);
      const windowMs = 1_000 * (await chain.disputeWindow());
      pause = Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, windowMs / 20));
      from = await openDemanded(opening, from);
    } catch (error) {
      const message = messageOf(error);
      if (!said.has(message) && !signal.aborted)
        log.warn(
          { code: isRoundtableError(error) ? error.code : undefined },
          `cannot open seals on chain: ${message}`,
        );
      said.add(message);
      pause = Math.min(LONGEST_LOOK_MS, 2 * pause);
    }
  }
}

/** @throws HOME_INVALID for a home that does not say where seals are opened */
async function openParts({ home, privateKey, work, chain, decisions }: KeeperParts): Promise<OpeningParts> {
  const { rpcUrls, sealJudge } = home.config.chain;
  if (rpcUrls.length === 0 || sealJudge === undefined)
    throw new RoundtableError(
      'HOME_INVALID',
      'This runner has sealed updates, but runner.yaml names no chain.rpcUrls or no chain.sealJudge: asked on chain to open one, it would lose its stake.',
    );
  if (!(await isJudge(chain, sealJudge)))
    throw new RoundtableError(
      'HOME_INVALID',
      `chain.sealJudge in runner.yaml is ${sealJudge}, which is no judge of the contract ${home.config.chain.jobs}.`,
    );
  const sender = createSender({
    chain,
    wallet: new Wallet(privateKey),
    intents: folderIntents(home.paths.intents),
  });
  return { seals: work.seals, chain, sender, sealJudge, decisions };
}

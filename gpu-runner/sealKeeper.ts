import type { Hex } from '#core/hex.js';
import type { ConsortiumChain } from '#services/chain.js';
import { keepLooking, openJudge } from './chainKeeper.js';
import type { DecisionLog } from './decisionLog.js';
import type { Log } from './log.js';
import type { RunnerHome } from './runnerHome.js';
import { openDemanded, type OpeningParts } from './sealOpening.js';
import type { SignedWork } from './signedWork.js';

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
  const { seals } = parts.work;
  let opening: OpeningParts | null = null;
  let from = 0;
  await keepLooking({ ...parts, failure: 'cannot open seals on chain' }, signal, async () => {
    if (!(await seals.isUsed())) return false;
    opening ??= await openParts(parts);
    from = await openDemanded(opening, from);
    return true;
  });
}

/** @throws HOME_INVALID for a home that does not say where seals are opened */
async function openParts(parts: KeeperParts): Promise<OpeningParts> {
  const { work, chain, decisions } = parts;
  const without =
    'This runner has sealed updates, but runner.yaml names no chain.rpcUrls or no chain.sealJudge: asked on chain to open one, it would lose its stake.';
  const { judge, sender } = await openJudge(parts, 'sealJudge', without);
  return { seals: work.seals, chain, sender, sealJudge: judge, decisions };
}

/** What a runner's keepers of its claims on the chain share: when they look, what they complain of, and whom they ask. */
import { setTimeout as delay } from 'node:timers/promises';
import { Wallet } from 'ethers';
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { typedContract } from '#contracts/typed.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { ConsortiumChain } from '#services/chain.js';
import { createSender, type Sender } from '#services/chainSender.js';
import { folderIntents } from '#services/folderIntents.js';
import { messageOf } from './failures.js';
import type { Log } from './log.js';
import type { RunnerHome } from './runnerHome.js';

const SHORTEST_LOOK_MS = 1_000;
const LONGEST_LOOK_MS = 30_000;

/**
 * Looks again and again until the signal: twenty times in a dispute window, less often while it fails.
 * @param parts.failure what a failure is introduced with; each is logged once
 * @param look is given a way to log what went wrong with one of several things it looks at; false when nothing had to be
 *   looked at on chain
 */
export async function keepLooking(
  { chain, log, failure }: { chain: ConsortiumChain; log: Log; failure: string },
  signal: AbortSignal,
  look: (complain: (error: unknown) => void) => Promise<boolean>,
): Promise<void> {
  const said = new Set<string>();
  const complain = (error: unknown): void => {
    const message = messageOf(error);
    if (said.has(message) || signal.aborted) return;
    said.add(message);
    log.warn({ code: isRoundtableError(error) ? error.code : undefined }, `${failure}: ${message}`);
  };
  let pause = SHORTEST_LOOK_MS;
  while (!signal.aborted) {
    await delay(pause, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      if (!(await look(complain))) continue;
      const windowMs = 1_000 * (await chain.disputeWindow());
      pause = Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, windowMs / 20));
    } catch (error) {
      complain(error);
      pause = Math.min(LONGEST_LOOK_MS, 2 * pause);
    }
  }
}

/**
 * A judge that runner.yaml names, and what sends to it from the runner's own account.
 * @param without what to say of a runner.yaml that names no endpoints or not this judge
 * @throws HOME_INVALID for that, or where the contract of jobs knows no such judge
 */
export async function openJudge(
  { home, privateKey, chain }: { home: RunnerHome; privateKey: Hex; chain: ConsortiumChain },
  name: 'receiptJudge' | 'sealJudge',
  without: string,
): Promise<{ judge: Hex; sender: Sender }> {
  const { rpcUrls, [name]: judge } = home.config.chain;
  if (rpcUrls.length === 0 || judge === undefined) throw new RoundtableError('HOME_INVALID', without);
  const jobs = typedContract(jobsAbi, chain.deployment.jobs, chain.provider);
  if (!(await jobs.read.judges(judge)))
    throw new RoundtableError(
      'HOME_INVALID',
      `chain.${name} in runner.yaml is ${judge}, which is no judge of the contract ${home.config.chain.jobs}.`,
    );
  const wallet = new Wallet(privateKey);
  return { judge, sender: createSender({ chain, wallet, intents: folderIntents(home.paths.intents) }) };
}

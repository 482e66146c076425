import { setTimeout as delay } from 'node:timers/promises';
import { Wallet } from 'ethers';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { openArchive } from '#services/archive.js';
import type { ConsortiumChain } from '#services/chain.js';
import { createSender } from '#services/chainSender.js';
import { folderIntents } from '#services/folderIntents.js';
import type { DecisionLog } from './decisionLog.js';
import { messageOf } from './failures.js';
import type { Log } from './log.js';
import type { ReceiptBook } from './receiptBook.js';
import { followReceipts, isJudge, type ClaimParts } from './receiptClaims.js';
import { readPolicy, type RunnerHome } from './runnerHome.js';

const SHORTEST_LOOK_MS = 1_000;
const LONGEST_LOOK_MS = 30_000;

/**
 * Sees to it that receipts are worth something, until the signal: as the owner's policy says they are kept, or claimed with
 * on chain. While there are none, nothing is read.
 */
export async function keepReceipts(
  parts: {
    home: RunnerHome;
    privateKey: Hex;
    book: ReceiptBook;
    chain: ConsortiumChain;
    decisions: Pick<DecisionLog, 'append'>;
    log: Log;
  },
  signal: AbortSignal,
): Promise<void> {
  const { home, book, chain, log } = parts;
  const said = new Set<string>();
  const complain = (error: unknown): void => {
    const message = messageOf(error);
    if (said.has(message) || signal.aborted) return;
    said.add(message);
    const code = isRoundtableError(error) ? error.code : undefined;
    log.warn({ code }, `cannot claim with a receipt: ${message}`);
  };
  let claims: ClaimParts | null = null;
  let pause = SHORTEST_LOOK_MS;
  while (!signal.aborted) {
    await delay(pause, undefined, { signal }).catch(() => undefined);
    const signed = book.all().filter((held) => held.signature !== null);
    if (signal.aborted || signed.length === 0) continue;
    try {
      if ((await readPolicy(home.paths)).receipts === 'keep') {
        for (const held of signed) await book.end(held, 'kept');
        continue;
      }
      claims ??= await openClaims(parts);
      const windowMs = 1_000 * (await chain.disputeWindow());
      pause = Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, windowMs / 20));
      await followReceipts(claims, (_, error) => complain(error));
    } catch (error) {
      complain(error);
      pause = Math.min(LONGEST_LOOK_MS, 2 * pause);
    }
  }
}

/** @throws HOME_INVALID for a home that does not say where receipts are shown */
async function openClaims({
  home,
  privateKey,
  book,
  chain,
  decisions,
}: Parameters<typeof keepReceipts>[0]): Promise<ClaimParts> {
  const { rpcUrls, receiptJudge } = home.config.chain;
  if (rpcUrls.length === 0 || receiptJudge === undefined)
    throw new RoundtableError(
      'HOME_INVALID',
      'policy.yaml has receipts enforced, but runner.yaml names no chain.rpcUrls or no chain.receiptJudge.',
    );
  if (!(await isJudge(chain, receiptJudge)))
    throw new RoundtableError(
      'HOME_INVALID',
      `chain.receiptJudge in runner.yaml is ${receiptJudge}, which is no judge of the contract ${home.config.chain.jobs}.`,
    );
  const sender = createSender({
    chain,
    wallet: new Wallet(privateKey),
    intents: folderIntents(home.paths.intents),
  });
  const archive = openArchive({ gateways: home.config.gateways });
  return { book, chain, archive, sender, receiptJudge, decisions };
}

import type { Hex } from '#core/hex.js';
import { openArchive } from '#services/archive.js';
import type { ConsortiumChain } from '#services/chain.js';
import { keepLooking, openJudge } from './chainKeeper.js';
import type { DecisionLog } from './decisionLog.js';
import type { Log } from './log.js';
import type { ReceiptBook } from './receiptBook.js';
import { followReceipts, type ClaimParts } from './receiptClaims.js';
import { readPolicy, type RunnerHome } from './runnerHome.js';

interface KeeperParts {
  home: RunnerHome;
  privateKey: Hex;
  book: ReceiptBook;
  chain: ConsortiumChain;
  decisions: Pick<DecisionLog, 'append'>;
  log: Log;
}

/**
 * Sees to it that receipts are worth something, until the signal: as the owner's policy says they are kept, or claimed with
 * on chain. While there are none, nothing is read.
 */
export async function keepReceipts(parts: KeeperParts, signal: AbortSignal): Promise<void> {
  const { home, book } = parts;
  let claims: ClaimParts | null = null;
  await keepLooking({ ...parts, failure: 'cannot claim with a receipt' }, signal, async (complain) => {
    const signed = book.all().filter(({ signature }) => signature !== null);
    if (signed.length === 0) return false;
    if ((await readPolicy(home.paths)).receipts === 'keep') {
      for (const held of signed) await book.end(held, 'kept');
      return false;
    }
    claims ??= await openClaims(parts);
    await followReceipts(claims, (_, error) => complain(error));
    return true;
  });
}

/** @throws HOME_INVALID for a home that does not say where receipts are shown */
async function openClaims(parts: KeeperParts): Promise<ClaimParts> {
  const { home, book, chain, decisions } = parts;
  const without =
    'policy.yaml has receipts enforced, but runner.yaml names no chain.rpcUrls or no chain.receiptJudge.';
  const { judge, sender } = await openJudge(parts, 'receiptJudge', without);
  const archive = openArchive({ gateways: home.config.gateways });
  return { book, chain, archive, sender, receiptJudge: judge, decisions };
}

/** What is wrong with a published epoch of rewards, as the call that revokes it and takes its payer's bond. */
import type { ChainEpoch } from '#services/chain.js';
import { chainCalls } from '#services/chainCalls.js';
import { report, type Accusation, type Judges } from './accusation.js';
import type { Verdict } from './dispute.js';
import { openEpoch, type Delta, type OpenEpoch } from './openEpoch.js';
import type { AuditSources } from './sources.js';
import { gatherEpoch } from './withheldEpoch.js';
import { wrongShare } from './wrongShare.js';

/**
 * Judges an epoch from its manifest, or from answers on chain where nobody has it, and from the manifests of its rounds.
 * @throws ARCHIVE_UNREACHABLE, CHAIN_UNREACHABLE
 */
export async function accuseEpoch(sources: AuditSources, onChain: ChainEpoch): Promise<Verdict> {
  const { judges } = chainCalls(sources.chain.deployment);
  const opened = await openEpoch(sources, onChain);
  const epoch = typeof opened === 'string' ? await gatherEpoch(sources, judges.rewards, onChain) : opened;
  if (Array.isArray(epoch)) return { accusations: epoch, unknown: [] };
  const published = await sources.chain.epochs(onChain.payer);
  const first = published.find(({ epoch: number }) => number === onChain.epoch - 1);
  const before = first ? await openEpoch(sources, first) : null;
  const at = { sources, judges: judges.rewards, onChain, epoch };
  const wrong =
    wrongOrder(at) ??
    wrongTotal(at) ??
    (typeof before === 'string' ? null : wrongPrevious(at, before)) ??
    wrongDeltas(at) ??
    (await unreleased(at));
  if (wrong) return { accusations: [wrong], unknown: [] };
  const unopened = epoch.leaves.flatMap((leaf) =>
    epoch.deltas(leaf) ? [] : [`what ${leaf.account} was paid for: no rounds lead to its line`],
  );
  const unknown = [...(typeof before === 'string' ? [before] : []), ...unopened];
  for (const paid of epoch.rounds) {
    const found = await wrongShare(at, paid);
    if (typeof found === 'string') unknown.push(found);
    else if (found) return { accusations: [found], unknown: [] };
  }
  return { accusations: [], unknown };
}

export interface PublishedEpoch {
  sources: AuditSources;
  judges: Judges['rewards'];
  onChain: ChainEpoch;
  epoch: OpenEpoch;
}

function wrongOrder({ judges, onChain, epoch }: PublishedEpoch): Accusation | null {
  const accuse = (what: string, at: number) =>
    report(what, judges.wrongOrder(onChain.payer, BigInt(onChain.epoch), epoch.line(at - 1), epoch.line(at)));
  for (const [at, { account, totalPrefix }] of epoch.leaves.entries()) {
    const before = epoch.leaves[at - 1];
    if (!before) continue;
    if (account <= before.account) return accuse(`account ${account} is out of order or there twice`, at);
    const due = before.totalPrefix + before.cumulative;
    if (totalPrefix !== due || (at === 1 && before.totalPrefix !== 0n))
      return accuse(
        `the lines before account ${account} come to ${due}, and its line says ${totalPrefix}`,
        at,
      );
  }
  return null;
}

function wrongTotal({ judges, onChain, epoch }: PublishedEpoch): Accusation | null {
  const last = epoch.leaves.length - 1;
  const total = (epoch.leaves[last]?.totalPrefix ?? 0n) + (epoch.leaves[last]?.cumulative ?? 0n);
  if (total === onChain.total) return null;
  return report(
    `its lines come to ${total}, and its total is ${onChain.total}`,
    judges.wrongTotal(onChain.payer, BigInt(onChain.epoch), epoch.line(last)),
  );
}

function wrongPrevious(
  { judges, onChain, epoch }: PublishedEpoch,
  before: OpenEpoch | null,
): Accusation | null {
  const [payer, number] = [onChain.payer, BigInt(onChain.epoch)] as const;
  for (const { index, account, previous } of epoch.leaves) {
    const earlier = before?.indexOf(account) ?? -1;
    const due = before?.leaves[earlier]?.cumulative ?? 0n;
    if (previous === due) continue;
    const shown = !before ? [] : earlier < 0 ? before.beside(account) : [before.line(earlier)];
    return report(
      `account ${account} had ${due} before, and its line says ${previous}`,
      judges.wrongPrevious(payer, number, epoch.line(index), shown),
    );
  }
  const omitted = before?.leaves.find(({ account }) => epoch.indexOf(account) < 0);
  if (!before || !omitted) return null;
  return report(
    `account ${omitted.account} of the epoch before is left out`,
    judges.omitted(payer, number, before.line(omitted.index), epoch.beside(omitted.account)),
  );
}

function wrongDeltas({ judges, onChain, epoch }: PublishedEpoch): Accusation | null {
  for (const leaf of epoch.leaves) {
    const deltas = epoch.deltas(leaf);
    if (!deltas) continue;
    const sum = deltas.reduce((total, { amount }) => total + amount, leaf.previous);
    const ascends = deltas.every((delta, i) => i === 0 || follows(deltas[i - 1], delta));
    if (sum === leaf.cumulative && ascends) continue;
    return report(
      `what account ${leaf.account} earned comes to ${sum}, and its line says ${leaf.cumulative}`,
      judges.wrongDeltas(onChain.payer, BigInt(onChain.epoch), epoch.line(leaf.index), deltas),
    );
  }
  return null;
}

function follows(before: Delta | undefined, { job, round }: Delta): boolean {
  return before === undefined || before.job < job || (before.job === job && before.round < round);
}

async function unreleased({ sources, judges, onChain, epoch }: PublishedEpoch): Promise<Accusation | null> {
  for (const { job, round, shares } of epoch.rounds) {
    const { released } = await sources.chain.escrow(job);
    if (round <= released) continue;
    for (const { runner } of shares) {
      const leaf = epoch.leaves[epoch.indexOf(runner)];
      const deltas = leaf && epoch.deltas(leaf);
      if (!deltas) continue;
      const index = deltas.findIndex((delta) => delta.job === job && delta.round === BigInt(round));
      return report(
        `round ${round} of job ${job} is paid, and its budget was never released`,
        judges.unreleased(
          onChain.payer,
          BigInt(onChain.epoch),
          epoch.line(leaf.index),
          deltas,
          BigInt(index),
        ),
      );
    }
  }
  return null;
}

/** Whether a round was paid to its runners as their weights say. */
import type { Hex } from '#core/hex.js';
import { apportion, roundBudget } from '#core/rewards.js';
import { report, type Accusation } from './accusation.js';
import { loadAccused, type Committed } from './accused.js';
import type { Evidence } from './evidence.js';
import type { Delta, PaidRound } from './openEpoch.js';
import type { PublishedEpoch } from './wrongEpoch.js';

/** What is wrong with how one round was paid; a text where that cannot be seen, or not be shown. */
export async function wrongShare(
  { sources, judges, onChain, epoch }: PublishedEpoch,
  { job, round, shares }: PaidRound,
): Promise<Accusation | string | null> {
  const { committed, job: created } = await loadAccused(sources, job, round);
  if (!committed) return `the shares of round ${round} of job ${job}: its manifest is not to be had`;
  const budget = roundBudget(created.budget, created.rounds, round);
  const due = apportion(
    budget,
    committed.headers.map(({ weight }) => BigInt(weight)),
  );
  const [payer, number] = [onChain.payer, BigInt(onChain.epoch)] as const;
  const indexIn = (deltas: readonly Delta[]) =>
    deltas.findIndex((delta) => delta.job === job && delta.round === BigInt(round));
  for (const [i, { runner }] of committed.headers.entries()) {
    const index = epoch.indexOf(runner);
    const leaf = epoch.leaves[index];
    const deltas = leaf && epoch.deltas(leaf);
    if (!deltas) {
      if ((due[i] ?? 0n) > 0n) return `what runner ${runner} got for round ${round} of job ${job}`;
      continue;
    }
    const paid = deltas[indexIn(deltas)]?.amount;
    if (paid === due[i] || (paid === undefined && due[i] === 0n)) continue;
    const { place } = committed.evidence.placeOf(i);
    if (paid !== undefined)
      return report(
        `runner ${runner} is paid ${paid} for round ${round} of job ${job}, and its share is ${due[i]}`,
        judges.wrongAmount(
          payer,
          number,
          epoch.line(index),
          deltas,
          BigInt(indexIn(deltas)),
          place,
          standingOf(committed, i),
        ),
      );
    const other = epoch.leaves.find((candidate) => indexIn(epoch.deltas(candidate) ?? []) >= 0);
    const shown = other && epoch.deltas(other);
    if (!shown) continue;
    return report(
      `runner ${runner} is not paid for round ${round} of job ${job}, and others are`,
      judges.unpaid(
        payer,
        number,
        [epoch.line(other.index), epoch.line(index)],
        shown,
        deltas,
        BigInt(indexIn(shown)),
        place,
        standingOf(committed, i),
      ),
    );
  }
  for (const { runner: account } of shares) {
    if (committed.headers.some(({ runner }) => runner === account)) continue;
    const index = epoch.indexOf(account);
    const leaf = epoch.leaves[index];
    const deltas = leaf && epoch.deltas(leaf);
    if (!deltas) return `what ${account} got for round ${round} of job ${job}`;
    return report(
      `account ${account} is paid for round ${round} of job ${job} and had no part in it`,
      judges.unearned(
        payer,
        number,
        epoch.line(index),
        deltas,
        BigInt(indexIn(deltas)),
        besideOf(committed, account),
      ),
    );
  }
  return null;
}

/** The headers beside which an account would stand. */
function besideOf({ evidence, headers }: Committed, account: Hex) {
  const header = (i: number) => ({ ...evidence.placeOf(i), leaf: evidence.leaf(i) });
  const above = headers.findIndex(({ runner }) => runner > account);
  if (above < 0) return [header(headers.length - 1)];
  return above === 0 ? [header(0)] : [header(above - 1), header(above)];
}

/** A runner with all that stands before it, from which its prefix sum follows. */
function standingOf({ evidence }: Committed, runner: number) {
  const { place, child } = evidence.placeOf(runner);
  const bottom = Math.floor(runner / 16);
  const leftLeaves = Array.from({ length: Number(child) }, (_, i) => evidence.leaf(16 * bottom + i));
  return { child, leaf: evidence.leaf(runner), lefts: leftsOf(evidence, place.turns), leftLeaves };
}

/** For every node on the way down, the nodes to the left of the turn. */
function leftsOf(evidence: Evidence, turns: readonly bigint[]) {
  let above = 0;
  return turns.map((turn, depth) => {
    const level = evidence.levels.length - 2 - depth;
    const first = 8 * above;
    above = first + Number(turn);
    return Array.from({ length: Number(turn) }, (_, i) => evidence.node({ level, index: first + i }));
  });
}

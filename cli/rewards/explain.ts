import type { Earning, Earnings } from '#audit/earnings.js';
import { toHex, type Hex } from '#core/hex.js';
import { count, tokens } from '../terminal/format.js';
import { short, table } from '../terminal/text.js';
import { paint, type Theme } from '../terminal/theme.js';

/** Everything that makes up what one account earned, so that anyone can reckon it again. */
export function explainLines(
  theme: Theme,
  earnings: Earnings,
  of: { account: Hex; name: string; explorer: string | null },
): string[] {
  const lines = earnings.lines.filter(({ account }) => account === of.account);
  const sum = (wanted?: Earning['state']) =>
    lines.reduce((total, { state, amount }) => (!wanted || state === wanted ? total + amount : total), 0n);
  return [
    `${paint(theme, 'bold', of.name)}  ${of.account}`,
    `earned ${tokens(sum())}: claimed ${tokens(sum('claimed'))}, claimable ${tokens(sum('claimable'))}, to come ${tokens(sum('waiting') + sum('final') + sum('disputable'))}`,
    '',
    ...roundTable(theme, lines),
    '',
    "A round pays floor(B*(before+units)/all) - floor(B*before/all): B is its budget in the token's smallest unit,",
    '`before` the units of those committed before this account, `all` those of everybody. For the last round:',
    ...lines.slice(-1).map(formulaLine),
    '',
    ...proofLines(theme, earnings, of),
  ];
}

function roundTable(theme: Theme, lines: readonly Earning[]): string[] {
  return table(
    theme,
    [
      { title: 'job' },
      { title: 'round', align: 'right' },
      { title: 'units', align: 'right' },
      { title: 'before', align: 'right', drop: 2 },
      { title: 'all', align: 'right', drop: 1 },
      { title: 'amount', align: 'right' },
      { title: 'epoch', align: 'right' },
      { title: 'state' },
      { title: 'transaction', drop: 3 },
    ],
    lines.map((line) => [
      line.job.slice(0, 10),
      String(line.round),
      count(line.units),
      count(line.unitsBefore),
      count(line.unitsInAll),
      tokens(line.amount),
      line.epoch === null ? '' : String(line.epoch),
      stateText(line),
      short(theme, line.transaction),
    ]),
  );
}

export function stateText({ state, until }: Pick<Earning, 'state' | 'until'>): string {
  const when = until === null ? '' : ` until ${new Date(until * 1000).toISOString().slice(0, 19)}Z`;
  if (state === 'waiting') return `in its window${when}`;
  if (state === 'disputable') return `disputable${when}`;
  return state === 'final' ? 'final, next epoch' : state;
}

/** @example '  floor(1000*(600+1)/2000) - floor(1000*600/2000) = 300 - 300 = 0' */
export function formulaLine({ budget, unitsBefore, units, unitsInAll, amount }: Earning): string {
  const upTo = (prefix: bigint) => (unitsInAll === 0n ? 0n : (budget * prefix) / unitsInAll);
  const [high, low] = [upTo(unitsBefore + units), upTo(unitsBefore)];
  return `  floor(${budget}*(${unitsBefore}+${units})/${unitsInAll}) - floor(${budget}*${unitsBefore}/${unitsInAll}) = ${high} - ${low} = ${amount}`;
}

function proofLines(
  theme: Theme,
  { proofs, claimed }: Earnings,
  { account, explorer }: { account: Hex; explorer: string | null },
): string[] {
  const proof = proofs.get(account);
  if (!proof) return ['No epoch has this account yet, so there is nothing to prove.'];
  const { epoch, leaf, inEffect } = proof;
  const paid = claimed.get(account) ?? 0n;
  const due = leaf.cumulative - paid;
  const state = !inEffect
    ? `in its window until ${new Date(epoch.effectiveAt * 1000).toISOString().slice(0, 19)}Z`
    : due > 0n
      ? `${due} can be claimed`
      : 'all of it claimed';
  return [
    paint(theme, 'bold', `Proof in epoch ${epoch.epoch} (${state})`),
    `  root         ${epoch.root}`,
    `  published    ${explorer === null ? epoch.transaction : `${explorer}/tx/${epoch.transaction}`}, block ${epoch.block}`,
    `  leaf         ${leaf.index} of ${epoch.leaves}`,
    `  cumulative   ${leaf.cumulative}, before ${leaf.previous}, claimed ${paid}`,
    `  total prefix ${leaf.totalPrefix}`,
    `  delta root   ${toHex(leaf.deltaRoot)}`,
    ...leaf.proof.map(
      (sibling, height) =>
        `  ${(height === 0 ? 'siblings' : '').padEnd(12)} ${toHex(sibling)} ${((leaf.index >> height) & 1) === 0 ? 'right' : 'left'}`,
    ),
  ];
}

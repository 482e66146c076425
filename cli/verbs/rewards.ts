import type { Hex } from '#core/hex.js';
import { sha256 } from '#services/sha256.js';
import { addVerb, UsageError, type Context } from '../command.js';
import { openPublicRecord } from '../model/sources.js';
import { accountsHere, accountsIn, intentsHere } from '../rewards/accounts.js';
import { claimRewards, type Claimed } from '../rewards/claim.js';
import { rewardStandings, roundRanges, type Standing } from '../rewards/standing.js';
import type { Verb } from '../run.js';
import { count, tokens } from '../terminal/format.js';
import { short, table } from '../terminal/text.js';
import { glyphs } from '../terminal/theme.js';

export const rewardVerbs: Verb = (program, does) => {
  const rewards = program.command('rewards').description('what runners earned, and paying it out');

  addVerb(
    rewards,
    'show',
    'who earned what in which rounds, what was claimed and what can be',
    'rewards show',
  ).action(
    does(async (context) => {
      const { coordinator } = context.stack();
      const standings = await withSources(context, async (sources) =>
        rewardStandings(sources, coordinator, await context.api().credits()),
      );
      const plain = standings.map((standing) => ({
        ...standing,
        earned: String(standing.earned),
        claimable: String(standing.claimable),
        claimed: String(standing.claimed),
        rounds: standing.rounds.map((entry) => ({ ...entry, amount: String(entry.amount) })),
      }));
      context.print({ payer: coordinator, accounts: plain }, () =>
        standings.length === 0 ? ['Nobody has earned anything yet.'] : standingTable(context, standings),
      );
    }),
  );

  addVerb(
    rewards,
    'claim',
    'claim for accounts whose keys are on this machine; repeating it pays nothing twice',
    'rewards claim',
    'rewards claim --account 0x8f3a…',
  )
    .option('--account <address...>', 'only these accounts, or the names of their runners (default: all)')
    .option('--key <file...>', 'key files of more accounts of yours')
    .action(
      does<{ account?: string[]; key?: string[] }>(
        async (context, { account: wanted, key: keyFiles = [] }) => {
          const stack = context.stack();
          const here = new Map(
            [...accountsHere(stack), ...accountsIn(keyFiles)].map((entry) => [entry.account, entry]),
          );
          const accounts = [...here.values()].filter(
            ({ account, name }) =>
              wanted === undefined ||
              wanted.some((given) => given.toLowerCase() === account || given === name),
          );
          if (accounts.length === 0) throw new UsageError('No key of such an account is on this machine.');
          const claims = await withSources(context, (sources) =>
            claimRewards(sources, stack.coordinator, accounts, intentsHere(context.state)),
          );
          const theme = context.terminal.theme();
          const nameOf = (of: Hex) => here.get(of)?.name ?? short(theme, of);
          context.print(
            claims.map((claim) => ({ ...claim, amount: String(claim.amount) })),
            () => claimLines(context, claims, nameOf),
          );
        },
      ),
    );
};

/** One line an account, then one for each transaction that paid several. */
function claimLines(
  context: Context,
  claims: readonly Claimed[],
  nameOf: (account: Hex) => string,
): string[] {
  const { ok } = glyphs(context.terminal.theme());
  const lines = claims.map(({ account, amount, transaction }) =>
    transaction === null
      ? `${nameOf(account)}: nothing to claim`
      : `${ok} ${nameOf(account)} claimed ${tokens(amount)}`,
  );
  for (const transaction of new Set(claims.map((claim) => claim.transaction))) {
    if (transaction === null) continue;
    const paid = claims.filter((claim) => claim.transaction === transaction);
    const each = paid[0]?.gas ?? 0;
    lines.push(
      `${paid.length === 1 ? 'one account' : `${paid.length} accounts`} in transaction ${transaction}, gas ${count(each * paid.length)}${paid.length === 1 ? '' : `, ${count(each)} an account`}`,
    );
  }
  return lines;
}

async function withSources<T>(
  context: Context,
  work: (sources: Parameters<typeof rewardStandings>[0]) => Promise<T>,
): Promise<T> {
  const record = openPublicRecord(context.stack());
  try {
    return await work({ ...record, hash: sha256 });
  } finally {
    record.chain.close();
  }
}

function standingTable(context: Context, standings: readonly Standing[]): string[] {
  const theme = context.terminal.theme();
  const names = new Map(context.stack().runners.map(({ runner, name }) => [runner, name]));
  return table(
    theme,
    [
      { title: 'runner' },
      { title: 'earned', align: 'right' },
      { title: 'claimed', align: 'right' },
      { title: 'claimable', align: 'right' },
      { title: 'in rounds', drop: 1 },
      { title: 'account', drop: 2 },
    ],
    standings.map(({ account, earned, claimed, claimable, rounds }) => [
      names.get(account) ?? short(theme, account),
      tokens(earned),
      tokens(claimed),
      tokens(claimable),
      jobRounds(rounds),
      short(theme, account, 8, 4),
    ]),
  );
}

function jobRounds(rounds: Standing['rounds']): string {
  const jobs = [...new Set(rounds.map(({ job }) => job))];
  return jobs
    .map(
      (job) =>
        `${job.slice(0, 8)}: ${roundRanges(rounds.filter((entry) => entry.job === job).map(({ round }) => round))}`,
    )
    .join('; ');
}

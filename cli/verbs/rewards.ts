import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { readEarnings } from '#audit/earnings.js';
import { RoundtableError } from '#core/errors.js';
import { toHex, type Hex } from '#core/hex.js';
import type { StackFile } from '#local/stackFile.js';
import { sha256 } from '#services/sha256.js';
import { addVerb, UsageError, type Context } from '../command.js';
import { openPublicRecord } from '../model/sources.js';
import { accountsHere, accountsIn, intentsHere } from '../rewards/accounts.js';
import { claimRewards, type Claimed } from '../rewards/claim.js';
import { earningsCsv } from '../rewards/csv.js';
import { explainLines } from '../rewards/explain.js';
import { rewardStandings, roundRanges, type Standing } from '../rewards/standing.js';
import type { Verb } from '../run.js';
import { count, tokens } from '../terminal/format.js';
import { short, table } from '../terminal/text.js';
import { glyphs } from '../terminal/theme.js';

export const rewardVerbs: Verb = (program, does) => {
  const rewards = program.command('rewards').description('what runners earned, and paying it out');

  addVerb(
    rewards,
    'show [account]',
    'who earned what in which rounds, and what of it can be claimed; for one account every amount with its proof',
    'rewards show',
    'rewards show 0x8f3a…',
  ).action(
    does(async (context, _options, wanted = '') => {
      if (wanted !== '') return showAccount(context, wanted);
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
    'export',
    'what was earned and paid as CSV, for bookkeeping; docs/payments.md says what the columns mean',
    'rewards export --from 2026-01-01 --to 2026-12-31 --out rewards.csv',
  )
    .option('--from <day>', 'first day, UTC, as YYYY-MM-DD')
    .option('--to <day>', 'last day, UTC')
    .option('--account <address...>', 'only these accounts, or the names of their runners')
    .option('--out <file>', 'write to a file instead of standard output')
    .action(
      does<{ from?: string; to?: string; account?: string[]; out?: string }>(async (context, options) => {
        const stack = context.stack();
        const from = options.from === undefined ? -Infinity : dayStart(options.from);
        const until = options.to === undefined ? Infinity : dayStart(options.to) + 86_400;
        const accounts = options.account?.map((given) => accountNamed(stack, given));
        const csv = await withSources(context, async (sources) => {
          const { lines } = await readEarnings(sources, stack.coordinator, Date.now() / 1000);
          const { chainId, token } = sources.chain.deployment;
          return earningsCsv(
            lines.filter(
              ({ at, account }) => at >= from && at < until && (accounts?.includes(account) ?? true),
            ),
            { chainId, token, decimals: await sources.chain.decimals() },
          );
        });
        const rows = csv.split('\r\n').length - 2;
        if (options.out === undefined) {
          if (context.json) context.print({ csv, rows }, () => []);
          else context.terminal.write(csv);
          return;
        }
        const file = resolve(context.folder, options.out);
        await writeFile(file, csv, { mode: 0o600 });
        context.print({ file, rows }, () => [`${rows} lines written to ${file}`]);
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
            claimRewards(sources, stack.coordinator, accounts, intentsHere(context.state), context.traces),
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

async function showAccount(context: Context, wanted: string): Promise<void> {
  const stack = context.stack();
  const account = accountNamed(stack, wanted);
  const { earnings, explorer } = await withSources(context, async (sources) => ({
    earnings: await readEarnings(sources, stack.coordinator, Date.now() / 1000),
    explorer: sources.chain.network.explorer,
  }));
  const lines = earnings.lines.filter((line) => line.account === account);
  if (lines.length === 0)
    throw new RoundtableError(
      'NOT_FOUND',
      `${account} has earned nothing from ${stack.coordinator}. \`roundtable rewards show\` lists who has.`,
    );
  const name = stack.runners.find(({ runner }) => runner === account)?.name ?? 'account';
  const proof = earnings.proofs.get(account);
  const plain = {
    payer: stack.coordinator,
    account,
    rounds: lines,
    claimed: earnings.claimed.get(account) ?? 0n,
    proof: proof && {
      ...proof.leaf,
      deltaRoot: toHex(proof.leaf.deltaRoot),
      proof: proof.leaf.proof.map(toHex),
      epoch: proof.epoch,
      inEffect: proof.inEffect,
    },
  };
  context.print(JSON.parse(JSON.stringify(plain, digits)), () =>
    explainLines(context.terminal.theme(), earnings, { account, name, explorer }),
  );
}

/** JSON has no numbers of any size: amounts are text. */
function digits(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

/** @throws UsageError for what is neither an address nor a runner of the stack, or the beginning of several addresses */
function accountNamed(stack: StackFile, given: string): Hex {
  const typed = given.toLowerCase();
  const named = stack.runners.find(({ name }) => name === given);
  if (named) return named.runner;
  if (/^0x[0-9a-f]{40}$/.test(typed)) return typed as Hex;
  const begun = stack.runners.filter(({ runner }) => typed.length > 2 && runner.startsWith(typed));
  const [only] = begun;
  if (begun.length === 1 && only) return only.runner;
  throw new UsageError(`${given} is neither an address nor the name of a runner of this stack.`);
}

/** Seconds since 1970. */
function dayStart(day: string): number {
  const time = /^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : Number.NaN;
  if (Number.isNaN(time)) throw new UsageError(`${day} is not a day: write YYYY-MM-DD.`);
  return time / 1000;
}

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

/**
 * What a job came to: the JSON of `--report FILE` and of `demo --json`. Every figure comes from the API or the
 * chain; nothing is filled in.
 */
import { z } from 'zod';
import { transactionRecord } from '#core/messages.js';
import { address, amount, archiveId, count, hash32, jobId, round, versionIdSchema } from '#core/schema.js';
import { roundSeconds, type JobView, type RoundView, type RunnerView } from '#core/views.js';
import { tokens } from '../terminal/format.js';
import type { StackFile } from '#local/stackFile.js';

const reportRound = z.strictObject({
  round,
  participants: z.array(
    z.strictObject({
      runner: address,
      name: z.string(),
      samples: count.nullable(),
      loss: z.number().nullable(),
      seconds: z.number().nullable(),
      bytes: count.nullable(),
    }),
  ),
  missing: z.array(z.strictObject({ runner: address, reason: z.string() })),
  accuracy: z.number().nullable(),
  loss: z.number().nullable(),
  seconds: roundSeconds.partial(),
  versionId: versionIdSchema.nullable(),
  paramsRoot: hash32.nullable(),
  rootHeader: hash32.nullable(),
  /** SHA-256 of the int32 parameter file, before any encryption. */
  modelSha256: hash32.nullable(),
  archiveId: archiveId.nullable(),
  manifestId: archiveId.nullable(),
  transactions: z.array(transactionRecord),
  /** Sum over the transactions. */
  gas: count,
});

export const report = z.strictObject({
  job: jobId,
  trigger: z.string(),
  rounds: z.array(reportRound),
  /** The job's last version; null when it has none. */
  model: z
    .strictObject({ version: versionIdSchema, sha256: hash32, archiveId: archiveId.nullable() })
    .nullable(),
  /** Amounts in the token's smallest unit, over all jobs of this payer. */
  rewards: z.array(
    z.strictObject({
      runner: address,
      account: address,
      earned: amount,
      claimed: amount,
      /** Of the latest claim. */
      transaction: hash32.nullable(),
    }),
  ),
  stack: z.strictObject({ api: z.string(), gateway: z.string(), chain: z.string(), temporal: z.string() }),
});
export type Report = z.output<typeof report>;
export type ReportRound = z.output<typeof reportRound>;

/** What one account earned from this stack's payer and what the chain has paid it. */
export interface RewardStanding {
  runner: `0x${string}`;
  account: `0x${string}`;
  earned: bigint;
  claimed: bigint;
  transaction: `0x${string}` | null;
}

export function buildReport(facts: {
  job: JobView;
  rounds: readonly RoundView[];
  runners: readonly RunnerView[];
  rewards: readonly RewardStanding[];
  stack: Pick<StackFile, 'api' | 'gateway' | 'chain' | 'temporal'>;
}): Report {
  const { job, stack } = facts;
  const names = new Map(facts.runners.map(({ runner, name }) => [runner, name]));
  return {
    job: job.job,
    trigger: job.trigger,
    rounds: [...facts.rounds].sort((a, b) => a.round - b.round).map((view) => reportOf(view, names)),
    model: job.version
      ? { version: job.version.versionId, sha256: job.version.params, archiveId: job.archive?.model ?? null }
      : null,
    rewards: facts.rewards.map(({ runner, account, earned, claimed, transaction }) => ({
      runner,
      account,
      earned: String(earned),
      claimed: String(claimed),
      transaction,
    })),
    stack: {
      api: stack.api,
      gateway: stack.gateway,
      chain: stack.chain.rpcUrl,
      temporal: stack.temporal.ui ?? stack.temporal.address,
    },
  };
}

/** What went wrong, in words; empty when the job did all it should. Decides the exit code of `demo --exit`. */
export function reportProblems({ job, report: made }: { job: JobView; report: Report }): string[] {
  const unfinished = made.rounds.filter(
    ({ archiveId: id, transactions, versionId }) => !id || !versionId || transactions.length === 0,
  );
  const unpaid = made.rewards.filter(({ earned, claimed }) => BigInt(claimed) < BigInt(earned));
  return [
    ...(job.state === 'done'
      ? []
      : [`The job is ${job.state}${job.problem ? ` (${job.problem.code}): ${job.problem.message}` : '.'}`]),
    ...(made.rounds.length === job.spec.rounds
      ? []
      : [`${made.rounds.length} of ${job.spec.rounds} rounds were run.`]),
    ...unfinished.map(({ round: number }) => `Round ${number} was not archived and anchored.`),
    ...(job.spec.rewards.budget !== '0' && made.rewards.length === 0
      ? ['Nobody was credited any reward.']
      : []),
    ...unpaid.map(
      ({ account, earned, claimed }) =>
        `Account ${account} earned ${tokens(earned)} and was paid ${tokens(claimed)}.`,
    ),
  ];
}

function reportOf(view: RoundView, names: ReadonlyMap<string, string>): ReportRound {
  return {
    round: view.round,
    participants: view.participants
      .filter(({ state }) => state === 'done')
      .map(({ runner, samples, loss, seconds, bytes }) => ({
        runner,
        name: names.get(runner) ?? runner,
        samples,
        loss,
        seconds,
        bytes,
      })),
    missing: view.missing.map(({ runner, code, reason }) => ({ runner, reason: `${code}: ${reason}` })),
    accuracy: view.accuracy,
    loss: view.loss,
    seconds: view.seconds,
    versionId: view.version?.versionId ?? null,
    paramsRoot: view.version?.paramsRoot ?? null,
    rootHeader: view.rootHeader,
    modelSha256: view.version?.params ?? null,
    archiveId: view.archive?.model ?? null,
    manifestId: view.archive?.manifest ?? null,
    transactions: view.transactions,
    gas: view.transactions.reduce((sum, { gas }) => sum + gas, 0),
  };
}

/** The demo: a job on the local consortium, from a signed webhook to everybody's claim. */
import { join, resolve } from 'node:path';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { finalJobStates, type JobView, type VersionView } from '#core/views.js';
import { sha256 } from '#services/sha256.js';
import { absentRunner, demoData, type DemoData } from '#local/demo.js';
import { projectRoot } from '#local/paths.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { stopOnSignals } from '#local/supervisor/signals.js';
import type { Api } from '../api.js';
import type { Context } from '../command.js';
import { readJobFile, type JobSource } from '../job/jobFile.js';
import { specOf } from '../job/submit.js';
import { openPublicRecord } from '../model/sources.js';
import type { Emit } from '../progress/events.js';
import { followJob } from '../progress/follow.js';
import { buildReport, reportProblems, type Report } from '../report/report.js';
import { claimRewards, epochInEffect } from '../rewards/claim.js';
import { rewardStandings } from '../rewards/standing.js';
import { accountsHere, intentsHere } from '../rewards/accounts.js';
import { showStack } from '../stack/news.js';
import { sendWebhook } from '../trigger/webhook.js';
import { demoTrigger } from './trigger.js';

export const demoJobFile = join(projectRoot, 'examples', 'mnist', 'job.yaml');

/** Rewards take effect about two seconds after the last round; a busy machine may take longer. */
const settledWithinMs = 60_000;
const pollMs = 150;

export interface DemoResult {
  job: JobView;
  report: Report;
  versions: VersionView[];
  /** What went wrong, in words; empty when all is well. */
  problems: string[];
}

/** The stack to demonstrate on; null where another process runs it already, which is then used as it is. */
export async function startDemoStack(
  context: Context,
  options: { source: JobSource; fresh: boolean; emit: Emit },
): Promise<{ stack: LocalStack | null; data: DemoData }> {
  const { source, fresh, emit } = options;
  const data = demoData(source.job.data.contract, source.folder);
  try {
    const stack = await startStack({
      stateDir: context.state,
      fresh,
      data: [data],
      onOpen(supervisor, news) {
        stopOnSignals(supervisor);
        showStack(supervisor, news, emit);
      },
    });
    return { stack, data };
  } catch (error) {
    if (!isRoundtableError(error, 'ALREADY_RUNNING') || fresh) throw error;
    emit({ type: 'note', text: 'a stack runs from this folder already; the job runs on it' });
    return { stack: null, data };
  }
}

/** Starts the job, or goes on with one that is open, and follows it until everybody is paid. */
export async function runDemo(
  context: Context,
  options: { source: JobSource; data: DemoData; stack: LocalStack | null; emit: Emit },
): Promise<DemoResult> {
  const { source, stack, emit } = options;
  const api = context.api();
  const problems: string[] = [];
  const failed = (error: unknown) =>
    void problems.push(error instanceof Error ? error.message : String(error));
  const open = (await api.jobs()).find(
    ({ spec, state }) => spec.name === source.job.name && !finalJobStates.includes(state),
  );
  if (open) {
    emit({ type: 'note', text: `job ${open.job.slice(0, 12)} is open; it goes on` });
    // It may have been paused, by a person or by a demo that was killed while it waited for a runner.
    await signalUnlessEnded(api, open.job, 'resume');
  }
  const id = open?.job ?? (await startByWebhook(context, api, options));
  const watchAbsent =
    stack && !open
      ? absentRunner(stack, (signal) => signalUnlessEnded(api, id, signal), failed)
      : () => undefined;
  const ended = await followJob(
    api,
    id,
    (event) => {
      if (event.type === 'round') watchAbsent(event.round);
      emit(event);
    },
    context.signal,
  );
  const job = await payEverybody(context, api, ended, emit).catch((error: unknown) => {
    failed(error);
    return ended;
  });
  const report = await gatherReport(context, api, job);
  const versions = await api.versions(job.spec.name);
  return { job, report, versions, problems: [...problems, ...reportProblems({ job, report })] };
}

async function signalUnlessEnded(api: Api, job: string, signal: 'pause' | 'resume'): Promise<void> {
  try {
    await api.act({ action: `job.${signal}`, target: job });
  } catch (error) {
    if (!isRoundtableError(error, 'CONFLICT')) throw error;
  }
}

/** Reads the job file of a demo. @throws as readJobFile */
export function demoJob(context: Context, file: string | undefined): JobSource {
  return readJobFile(file === undefined ? demoJobFile : resolve(context.folder, file));
}

async function startByWebhook(
  context: Context,
  api: Api,
  { source, data, emit }: { source: JobSource; data: DemoData; emit: Emit },
): Promise<string> {
  const withData = source.evaluation === null ? { ...source, evaluation: data.heldOut } : source;
  const spec = await specOf(api, withData, context.stack());
  const { trigger, secret } = await demoTrigger(api, context.state, spec);
  const sent = await sendWebhook({ api: context.stack().api, trigger, secret });
  emit({
    type: 'webhook-sent',
    trigger: trigger.name,
    delivery: sent.delivery,
    status: sent.status,
    job: sent.job,
  });
  if (sent.job === null)
    throw new RoundtableError(
      'CONFLICT',
      `The trigger ${trigger.name} started no job: ${sent.ignored ?? 'it gave no reason'}.`,
    );
  return sent.job;
}

/** Waits until the job's rounds are settled on chain, then claims for every runner of this machine. */
async function payEverybody(context: Context, api: Api, job: JobView, emit: Emit): Promise<JobView> {
  if (job.spec.rewards.budget === '0' || job.round === 0) return job;
  emit({ type: 'note', text: "waiting for the epoch that pays the job's rounds" });
  const record = openPublicRecord(context.stack());
  const payer = context.stack().coordinator;
  try {
    const settled = await until(context, async () => {
      const view = await api.job(job.job);
      if (view.settledEpoch === null) return null;
      return (await epochInEffect(record.chain, payer)) >= view.settledEpoch ? view : null;
    });
    const accounts = accountsHere(context.stack());
    for (const { account, amount, transaction, gas } of await claimRewards(
      { ...record, hash: sha256 },
      payer,
      accounts,
      intentsHere(context.state),
      context.traces,
    ))
      if (transaction !== null)
        emit({ type: 'claimed', runner: account, account, amount: String(amount), transaction, gas });
    return settled;
  } finally {
    record.chain.close();
  }
}

async function gatherReport(context: Context, api: Api, job: JobView): Promise<Report> {
  const stack = context.stack();
  const record = openPublicRecord(stack);
  try {
    const [rounds, runners, credits] = await Promise.all([api.rounds(job.job), api.runners(), api.credits()]);
    const standings = await rewardStandings({ ...record, hash: sha256 }, stack.coordinator, credits);
    const order = stack.runners.map(({ runner }) => runner);
    const rewards = standings
      .map((standing) => ({ ...standing, runner: standing.account }))
      .sort((a, b) => order.indexOf(a.runner) - order.indexOf(b.runner));
    return buildReport({ job, rounds, runners, rewards, stack });
  } finally {
    record.chain.close();
  }
}

/** @throws UNAVAILABLE when it does not come about in time */
async function until<T>(context: Context, look: () => Promise<T | null>): Promise<T> {
  const deadline = Date.now() + settledWithinMs;
  for (;;) {
    context.signal.throwIfAborted();
    const found = await look();
    if (found !== null) return found;
    if (Date.now() > deadline)
      throw new RoundtableError(
        'UNAVAILABLE',
        `The job's rounds were not settled within ${settledWithinMs / 1000} s. See \`roundtable logs worker\` and \`roundtable logs events\`.`,
      );
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

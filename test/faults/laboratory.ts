import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readWallet, type Api } from '#cli/api.js';
import type { Deployment } from '#contracts/deployment.js';
import { epochManifest } from '#core/manifest.js';
import { epochTree } from '#core/rewards.js';
import { parseMessage } from '#core/schema.js';
import { finalJobStates, type JobView, type RoundPhase, type RoundView } from '#core/views.js';
import { localProvider, sendCall } from '#local/consortium/contracts.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { openArchive } from '#services/archive.js';
import { openChain } from '#services/chain.js';
import { chainCalls } from '#services/chainCalls.js';
import { sha256 } from '#services/sha256.js';
import { few } from '../support/digits.js';
import { digitsSpec } from '../support/digitsJob.js';
import { apiOf, untilEnrolled } from '../support/stackApi.js';
import { until } from '../support/until.js';

/** When something is broken: the first time that the round is seen in one of these phases. */
export interface Point {
  round: number;
  phases: readonly RoundPhase[];
}

/** What is broken, and when. `break` says on the stack what to do; it is called once. */
export interface Fault {
  at: Point;
  break: (stack: LocalStack) => void | Promise<void>;
}

export const whileCollecting = (round: number): Point => ({ round, phases: ['collecting'] });
export const afterCollecting = (round: number): Point => ({
  round,
  phases: ['aggregating', 'evaluating', 'archiving', 'anchoring'],
});

/** What a job came to, as the chain and the archive have it. */
export interface Outcome {
  job: JobView;
  rounds: RoundView[];
  /** Faults that were made, in order. */
  broken: number;
  /** Token units that each runner was paid, by chain. */
  paid: Record<string, bigint>;
  seconds: number;
}

export const budget = 3_000_000n;
const rounds = 3;

/**
 * A stack of its own for one scenario: a tiny job over all four runners, faults at their points, then everybody
 * claims, twice. With the keys of an earlier scenario the same job must come to the same bits.
 */
export async function runScenario(options: {
  faults: readonly Fault[];
  keys?: string;
}): Promise<Outcome & { state: string }> {
  const state = mkdtempSync(join(tmpdir(), 'roundtable-fault-'));
  if (options.keys) cpSync(join(options.keys, 'keys'), join(state, 'keys'), { recursive: true });
  const stack = await startStack({ stateDir: state, data: [{ name: 'tiny', load: () => few(1_200) }] });
  try {
    const started = Date.now();
    const api = apiOf(stack);
    const job = await submit(stack, api);
    const { broken, view, views } = await follow(stack, api, job, options.faults);
    const paid = await claimTwice(stack, api);
    return { job: view, rounds: views, broken, paid, seconds: (Date.now() - started) / 1000, state };
  } finally {
    await stack.stop();
  }
}

export function forget(state: string): void {
  rmSync(state, { recursive: true, force: true });
}

/** Kills a part's process, and nothing else, as the kernel's memory killer would. */
export function killPart(name: string): (stack: LocalStack) => void {
  return (stack) => process.kill(pidOf(stack, name), 'SIGKILL');
}

/** Kills the child in which a runner trains. */
export function killTrainingChild(runner: string): (stack: LocalStack) => void {
  return (stack) => {
    const parent = pidOf(stack, runner);
    const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean);
    for (const child of children) process.kill(Number(child), 'SIGKILL');
  };
}

function pidOf(stack: LocalStack, name: string): number {
  const part = stack.supervisor.status().find((status) => status.name === name);
  if (!part?.pid) throw new Error(`${name} does not run: ${part?.state ?? 'unknown part'}`);
  return part.pid;
}

async function submit(stack: LocalStack, api: Api): Promise<`0x${string}`> {
  await untilEnrolled(api, stack, 150);
  const spec = await digitsSpec(api, stack, {
    name: 'tiny',
    data: { contract: 'tiny', input: [1, 28, 28], classes: 10 },
    rounds,
    training: { epochs: 3 },
    participants: { quorum: 'all', deadlineSeconds: 90 },
    rewards: { budget: String(budget) },
  });
  return (await api.submit({ key: 'fault-laboratory', spec })).job;
}

/** Watches closely, makes each fault at its point, and waits until the job has ended and is settled. */
async function follow(stack: LocalStack, api: Api, job: string, faults: readonly Fault[]) {
  const waiting = [...faults];
  let broken = 0;
  let view: JobView | null = null;
  let views: RoundView[] = [];
  await until(
    async () => {
      try {
        views = await api.rounds(job);
        view = await api.job(job);
      } catch {
        return false; // the API itself may be what was killed
      }
      const next = waiting[0];
      const there = views.find(({ round }) => round === next?.at.round);
      if (next && there && next.at.phases.includes(there.phase)) {
        waiting.shift();
        await next.break(stack);
        broken++;
      }
      if (view.state === 'failed') throw new Error(`the job failed: ${JSON.stringify(view.problem)}`);
      return finalJobStates.includes(view.state) && view.settledEpoch !== null;
    },
    'the job has ended and is settled',
    150,
  );
  if (!view) throw new Error('the job was never seen');
  return { broken, view: view as JobView, views };
}

/** Claims for every account twice over, and reads from the chain what each was paid. */
async function claimTwice(stack: LocalStack, api: Api): Promise<Record<string, bigint>> {
  const deployment = stack.file.chain.deployment as Deployment;
  const chain = openChain({ rpcUrls: [stack.file.chain.rpcUrl], deployment });
  const provider = localProvider(stack.file.chain.rpcUrl);
  const payer = stack.file.coordinator;
  try {
    const epoch = (await api.epochs()).at(-1);
    if (!epoch) throw new Error('no epoch was published');
    const archive = openArchive({ gateways: [stack.file.gateway] });
    const bytes = await archive.get(epoch.archive);
    const { hashed } = parseMessage(epochManifest, JSON.parse(new TextDecoder().decode(bytes)), 'the epoch');
    const tree = epochTree(sha256, {
      accounts: hashed.accounts.map(({ account, cumulative, previous }) => ({
        account,
        cumulative: BigInt(cumulative),
        previous: BigInt(previous),
        deltas: hashed.rounds.flatMap(({ job, round, shares }) =>
          shares
            .filter(({ runner }) => runner === account)
            .map(({ amount }) => ({ job, round, amount: BigInt(amount) })),
        ),
      })),
    });
    // Not the coordinator's key: the worker alone sends with that.
    const wallet = readWallet(stack.file.keys['founder'] ?? '');
    const call = chainCalls(deployment).rewards.claimMany(payer, epoch.epoch, tree.leaves);
    await sendCall(wallet, provider, call);
    await sendCall(wallet, provider, call);
    const paid: Record<string, bigint> = {};
    for (const { account, amount } of await chain.claims(payer))
      paid[account] = (paid[account] ?? 0n) + amount;
    for (const { address } of stack.runners)
      if ((await chain.balance(address)) !== (paid[address] ?? 0n))
        throw new Error(`${address} holds another amount than it was paid`);
    return paid;
  } finally {
    provider.destroy();
    chain.provider.destroy();
  }
}

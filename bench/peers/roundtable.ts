import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { auditVersion } from '#audit/audit.js';
import { openApi, type Api } from '#cli/api.js';
import { openPublicRecord } from '#cli/model/sources.js';
import { sealingKeys } from '#cli/model/sources.js';
import { recipientOf } from '#local/consortium/keys.js';
import { openWith, updatesIn } from '#cli/model/updates.js';
import { jobFile, toJobSpec } from '#core/jobSpec.js';
import { roundSeconds as phaseSeconds, type JobView, type RoundView } from '#core/views.js';
import { runnerHome } from '#local/consortium/runnerHomes.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { signalGroup } from '#local/supervisor/process.js';
import { sha256 } from '#services/sha256.js';
import { byPart, cpuSeconds } from '../processes.js';
import { quantile, untilDone, untilEnrolled } from '../stack.js';
import { readEvents, roundSeconds, tell } from './events.js';
import { clientData, heldOutData, model, type Work } from './work.js';

const contract = 'fashion';
const deadlineSeconds = 300;

/** Runners of one machine in one process, as Flower's simulation has its clients; or each in its own. */
type Layout = 'together' | 'apart';

/**
 * The work on a whole stack of its own: rounds archived and anchored, and in the end the last version verified from
 * chain and archive, every sum recomputed.
 */
export async function runRoundtable(work: Work, layout: Layout, events: string): Promise<void> {
  await onStack(work, layout, async (stack, api) => {
    tell(events, { event: 'ready' });
    const before = byPart(stack, cpuSeconds);
    const job = await submit(work, stack, api, events);
    const view = await untilDone(api, job);
    await tellSpent(stack, api, job, before, events);
    await tellRounds(api, view, events);
    await verify(stack, view, events);
    tell(events, { event: 'done' });
  });
}

/** Kills the coordinator in the second round and a runner in the fifth, with -9, each while a round collects. */
export async function runRoundtableFaults(work: Work, events: string): Promise<void> {
  await onStack(work, 'apart', async (stack, api) => {
    tell(events, { event: 'ready' });
    const job = await submit(work, stack, api, events);
    const server = { round: 2, at: await killIn(stack, api, job, 2, ['temporal', 'worker']) };
    const node = { round: 5, at: await killIn(stack, api, job, 5, ['runner-client-1']) };
    const view = await untilDone(api, job);
    await tellRounds(api, view, events);
    const told = readEvents(events);
    const rounds = await api.rounds(job);
    const ends = new Map(rounds.map(({ round, updatedAt }) => [round, Date.parse(updatedAt) / 1000]));
    const others = [...roundSeconds(told)].filter(
      ([round]) => ![1, server.round, node.round].includes(round),
    );
    const undisturbed = quantile(
      others.map(([, seconds]) => seconds),
      0.5,
    );
    for (const [killed, { round, at }] of [
      ['server', server],
      ['node', node],
    ] as const)
      tell(events, {
        event: 'recovery',
        killed,
        seconds: (ends.get(round) ?? Number.NaN) - at,
        undisturbed,
        lost: lost(rounds, round, work.clients),
      });
    await verify(stack, view, events);
    tell(events, { event: 'done' });
  });
}

async function onStack(
  work: Work,
  layout: Layout,
  job: (stack: LocalStack, api: Api) => Promise<void>,
): Promise<void> {
  const stateDir = mkdtempSync(join(tmpdir(), 'roundtable-peers-'));
  const plan = Array.from({ length: work.clients }, (_, k) => ({
    name: `client-${k}`,
    member: k % 3,
    throttle: 1,
  }));
  plan.forEach(({ name }, client) => {
    const folder = join(runnerHome(stateDir, name), 'data');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${contract}.safetensors`), clientData(work, client));
  });
  const stack = await startStack({
    stateDir,
    plan,
    data: [{ name: contract, load: dealtBefore }],
    runners: layout,
  });
  try {
    const { api: url, coordinator, keys } = stack.file;
    const api = openApi({ url, audience: coordinator, keyFile: keys.coordinator });
    await untilEnrolled(api, work.clients);
    await job(stack, api);
  } finally {
    await stack.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

function dealtBefore(): never {
  throw new Error('every client has its share already');
}

async function submit(work: Work, stack: LocalStack, api: Api, events: string): Promise<string> {
  const { clients, rounds, epochs, batch, rate } = work;
  tell(events, { event: 'working' });
  const file = jobFile.parse({
    version: 1,
    name: 'peers',
    model: 'model.onnx',
    start: 'model',
    data: { contract, input: [784], classes: 10 },
    rounds,
    training: { epochs, batch, optimizer: { name: 'sgd', lr: rate } },
    participants: { quorum: 'all', most: clients, deadlineSeconds },
    rewards: { budget: '1000000' },
  });
  const [network, evaluation] = await Promise.all([
    api.putArtifact(model()),
    api.putArtifact(heldOutData(work)),
  ]);
  const spec = toJobSpec(file, {
    model: { sha256: network },
    evaluation: { sha256: evaluation },
    recipients: null,
    readers: stack.members.slice(0, 1).map(recipientOf),
  });
  return (await api.submit({ key: 'bench-peers', spec })).job;
}

async function tellRounds(api: Api, { job, spec }: JobView, events: string): Promise<void> {
  const rounds = await api.rounds(job);
  const versions = await api.versions(spec.name);
  const first = versions.find(({ round }) => round === 0);
  const began = Date.parse(rounds[0]?.startedAt ?? '') / 1000;
  tell(events, { event: 'round', round: 0, accuracy: first?.accuracy ?? null }, began);
  for (const { round, accuracy, updatedAt } of rounds)
    tell(events, { event: 'round', round, accuracy }, Date.parse(updatedAt) / 1000);
}

async function tellSpent(
  stack: LocalStack,
  api: Api,
  job: string,
  before: ReadonlyMap<string, number>,
  events: string,
): Promise<void> {
  const parts = [...byPart(stack, cpuSeconds)].map(([name, seconds]) => ({
    name,
    seconds: seconds - (before.get(name) ?? 0),
  }));
  const rounds = (await api.rounds(job)).slice(1).map(({ seconds }) => seconds);
  const phases = phaseSeconds.keyof().options.map((phase) => ({
    name: phase,
    seconds: quantile(
      rounds.map((round) => round[phase] ?? 0),
      0.5,
    ),
  }));
  tell(events, { event: 'spent', processor: byName(parts), round: byName(phases) });
}

const byName = (figures: readonly { name: string; seconds: number }[]) =>
  Object.fromEntries(figures.map(({ name, seconds }) => [name, Math.round(100 * seconds) / 100]));

/** @throws when anything is wrong, or a sum could not be recomputed */
async function verify({ file }: LocalStack, { version }: JobView, events: string): Promise<void> {
  if (!version) throw new Error('the job has no version');
  const began = performance.now();
  const record = openPublicRecord(file);
  try {
    const updateSource = updatesIn(
      file.runners.map(({ home }) => home),
      openWith(sealingKeys(file)),
    );
    const { ok, wrong, checks, rounds } = await auditVersion(
      { ...record, hash: sha256, updateSource },
      version.versionId,
    );
    if (!ok) throw new Error(`the audit found ${JSON.stringify(wrong)}`);
    if (rounds.some(({ recomputed }) => !recomputed)) throw new Error('a sum was not recomputed');
    const seconds = (performance.now() - began) / 1000;
    tell(events, { event: 'verified', checks: checks.length, seconds });
  } finally {
    record.chain.close();
  }
}

/** Kills the process groups of parts while that round collects. @returns when, in seconds since 1970 */
async function killIn(
  stack: LocalStack,
  api: Api,
  job: string,
  round: number,
  names: readonly string[],
): Promise<number> {
  for (;;) {
    const [view, runners] = await Promise.all([
      api.rounds(job).then((rounds) => rounds.find((each) => each.round === round)),
      api.runners(),
    ]);
    // Progress is told every two seconds; that nobody is done yet says that they all train.
    const training = view?.phase === 'selecting' || view?.phase === 'collecting';
    if (training && runners.some(({ progress }) => progress?.round === round)) break;
    await sleep(20);
  }
  const at = Date.now() / 1000;
  for (const { name, pid } of stack.supervisor.status())
    if (names.includes(name) && pid !== null) signalGroup(pid, 'SIGKILL');
  return at;
}

function lost(rounds: readonly RoundView[], killedIn: number, clients: number): string {
  const round = rounds.find((each) => each.round === killedIn);
  const done = round?.participants.filter(({ state }) => state === 'done').length ?? 0;
  return done === clients ? 'nothing' : `${clients - done} of ${clients} updates of the round`;
}

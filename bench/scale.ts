import { dirname } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { groupWorkflowId, roundWorkflowId } from '#core/names.js';
import { distFile } from '#local/paths.js';
import type { LocalStack } from '#local/stack.js';
import { logLine } from '#local/supervisor/ready.js';
import { cnn } from '../examples/mnist/models.js';
import type { Emit } from './main.js';
import { byPart, cpuSeconds, proportionalSetSize } from './processes.js';
import { quantile, specFor, untilDone, untilEnrolled, withStack } from './stack.js';

const sizes = [10, 100, 1_000];
const parameters = 5_994;
/** The first round starts sessions and fills caches; what repeats is the others. */
const roundsOf = (runners: number) => (runners > 100 ? 2 : 3);
/** Runners in one process; more of them would wait for the one thread that signs and encodes. */
const runnersAProcess = 500;

/**
 * `npm run bench -- scale [RUNNERS…]`: what a round of many runners costs one machine. The runners are light, many in
 * a process, and the network is small, so that what is seen is the coordination: tasks, signatures, transfers, checks.
 */
export async function run(emit: Emit, args: readonly string[] = []): Promise<void> {
  for (const runners of args.length > 0 ? args.map(Number) : sizes) emit(await measure(runners));
}

async function measure(runners: number): Promise<Record<string, unknown>> {
  const samples = 2 * runners;
  const rounds = roundsOf(runners);
  const data = {
    name: 'digits',
    load: () => ({
      shape: [1, 28, 28],
      classes: 10,
      x: new Float32Array(784 * samples),
      y: new Int32Array(samples),
    }),
  };
  const plan = Array.from({ length: runners }, (_, index) => ({
    name: `light-${index}`,
    member: 0,
    throttle: 1,
  }));
  const began = performance.now();
  return withStack({ data: [data], plan, runners: 'held' }, async (stack, api) => {
    const homes = stack.file.runners.map(({ home }) => home);
    for (let from = 0; from < runners; from += runnersAProcess)
      await stack.supervisor.start({
        name: `light-runners-${from / runnersAProcess + 1}`,
        role: 'runner',
        command: process.execPath,
        args: [distFile('bench/lightRunners.js')],
        env: { RUNNER_HOMES: homes.slice(from, from + runnersAProcess).join(',') },
        cwd: dirname(homes[0] ?? '.'),
        ready: logLine(/ready/),
      });
    await untilEnrolled(api, runners);
    const startSeconds = (performance.now() - began) / 1000;
    const spec = await specFor(api, stack.members, cnn(), {
      name: 'scale',
      data: { contract: 'digits', input: [1, 28, 28], classes: 10 },
      rounds,
      participants: { quorum: runners, most: runners, deadlineSeconds: 400 },
      rewards: { budget: '1000000000' },
    });
    const before = byPart(stack, cpuSeconds);
    const { job } = await api.submit({ key: `bench-scale-${runners}`, spec });
    let memory = byPart(stack, proportionalSetSize);
    const weigh = () => {
      const now = byPart(stack, proportionalSetSize);
      if (total(now) > total(memory)) memory = now;
    };
    const weighing = setInterval(weigh, 3_000);
    const view = await untilDone(api, job).finally(() => clearInterval(weighing));
    const after = byPart(stack, cpuSeconds);
    const steady = (await api.rounds(job)).slice(1);
    const median = (part: 'total' | 'select' | 'collect' | 'aggregate' | 'archive' | 'anchor') =>
      quantile(
        steady.map(({ seconds }) => seconds[part] ?? 0),
        0.5,
      );
    return {
      runners,
      parameters,
      startSeconds,
      seconds: median('total'),
      parts: {
        select: median('select'),
        collect: median('collect'),
        aggregate: median('aggregate'),
        archive: median('archive'),
        anchor: median('anchor'),
      },
      cpuSecondsARound: (total(after) - total(before)) / rounds,
      cpuSecondsARoundByPart: Object.fromEntries(
        [...after].map(([name, seconds]) => [name, (seconds - (before.get(name) ?? 0)) / rounds]),
      ),
      missing: steady.map(({ missing }) => missing.length),
      peakMegabytes: megabytes(total(memory)),
      peakMegabytesByPart: Object.fromEntries([...memory].map(([name, bytes]) => [name, megabytes(bytes)])),
      history: await historyOf(stack, job, view.round, runners),
    };
  });
}

/** Of the last round and of its largest group of runners, as Temporal counts them. */
async function historyOf(stack: LocalStack, job: string, round: number, runners: number) {
  const connection = await Connection.connect({ address: stack.file.temporal.address });
  try {
    const client = new Client({ connection });
    const sizeOf = async (id: string) => {
      const { raw } = await client.workflow.getHandle(id).describe();
      const { historyLength, historySizeBytes } = raw.workflowExecutionInfo ?? {};
      return { events: Number(historyLength), bytes: Number(historySizeBytes) };
    };
    return {
      job: await sizeOf(job),
      round: await sizeOf(roundWorkflowId(job, round)),
      ...(runners > 100 ? { group: await sizeOf(groupWorkflowId(job, round, 0)) } : {}),
    };
  } finally {
    await connection.close();
  }
}

const total = (parts: ReadonlyMap<string, number>) =>
  [...parts.values()].reduce((sum, value) => sum + value, 0);
const megabytes = (bytes: number) => Math.round(bytes / 1e6);

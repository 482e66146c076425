import { dirname } from 'node:path';
import type { RoundSeconds } from '#core/views.js';
import { distFile } from '#local/paths.js';
import { logLine } from '#local/supervisor/ready.js';
import { largeCnn, twoLayers } from '../examples/mnist/models.js';
import type { Emit } from './main.js';
import { byPart, cpuSeconds } from './processes.js';
import { quantile, specFor, untilDone, untilEnrolled, withStack } from './stack.js';

/** Flower 1.41's deployment: a no-op round of 4 nodes takes 6.5 s at any model size up to 1.66 M parameters. */
const flowerSeconds = 6.5;
const most = 10;
const rounds = 7;
/** Runners are processes of their own; two of them with all runners inside use two cores and little memory. */
const processes = 2;

/** What a round costs besides training: runners return their input, everything else is real. */
export async function run(emit: Emit): Promise<void> {
  const samples = {
    shape: [784],
    classes: 10,
    x: new Float32Array(784 * 2 * most),
    y: new Int32Array(2 * most),
  };
  const images = { ...samples, shape: [1, 28, 28] };
  const plan = Array.from({ length: most }, (_, index) => ({
    name: `light-${index}`,
    member: 0,
    throttle: 1,
  }));
  const data = [
    { name: 'flat', load: () => samples },
    { name: 'images', load: () => images },
  ];
  await withStack({ data, plan, runners: 'held' }, async (stack, api) => {
    const homes = stack.file.runners.map(({ home }) => home);
    for (let index = 0; index < processes; index++)
      await stack.supervisor.start({
        name: `light-runners-${index + 1}`,
        role: 'runner',
        command: process.execPath,
        args: [distFile('bench/lightRunners.js')],
        env: { RUNNER_HOMES: homes.filter((_, i) => i % processes === index).join(',') },
        cwd: dirname(homes[0] ?? '.'),
        ready: logLine(/ready/),
      });
    await untilEnrolled(api, most);
    const models = [
      { parameters: 199_210, contract: 'flat', input: [784], model: twoLayers() },
      { parameters: 1_663_370, contract: 'images', input: [1, 28, 28], model: largeCnn() },
    ];
    for (const { parameters, contract, input, model } of models)
      for (const runners of [4, most]) {
        const spec = await specFor(api, stack.members, model, {
          name: `overhead-${parameters}-${runners}`,
          data: { contract, input, classes: 10 },
          rounds,
          participants: { quorum: runners, most: runners },
          rewards: { budget: '1000000' },
        });
        const before = byPart(stack, cpuSeconds);
        const { job } = await api.submit({ key: `bench-${parameters}-${runners}`, spec });
        await untilDone(api, job);
        const after = byPart(stack, cpuSeconds);
        // The first round starts sessions and fills caches; the steady state is what repeats.
        const steady = (await api.rounds(job)).slice(1).map(({ seconds }) => seconds);
        const median = (part: keyof RoundSeconds) =>
          quantile(
            steady.map((seconds) => seconds[part] ?? 0),
            0.5,
          );
        const total = median('total');
        emit({
          runners,
          parameters,
          seconds: total,
          parts: Object.fromEntries(
            (['select', 'collect', 'aggregate', 'evaluate', 'archive', 'anchor'] as const).map((part) => [
              part,
              median(part),
            ]),
          ),
          cpuSecondsARound: Object.fromEntries(
            [...after].map(([name, seconds]) => [name, (seconds - (before.get(name) ?? 0)) / rounds]),
          ),
          slowest: Math.max(...steady.map((seconds) => seconds.total ?? 0)),
          ratio: flowerSeconds / total,
          against: 'Flower 1.41 deployment, no-op round of 4 nodes: 6.5 s (published measurement)',
        });
      }
  });
}

import { copyFile } from 'node:fs/promises';
import { pino } from 'pino';
import { createRunner } from '#gpu-runner/runner.js';

/**
 * Runners that return their input, many in one process: everything a runner does but the training, so that what
 * a round costs besides can be seen. RUNNER_HOMES lists their folders, separated by commas.
 */
const homes = (process.env['RUNNER_HOMES'] ?? '').split(',');
const log = pino({ level: 'warn' });
const stopping = new AbortController();
process.once('SIGTERM', () => stopping.abort());

const trainer = {
  async train(request: { weights: string; out: string }) {
    await copyFile(request.weights, request.out);
    const runtime = { onnxruntime: 'none', provider: 'none', cpu: 'none', threads: 1 };
    return { samples: 1, steps: 1, loss: 0, seconds: 0, memory: { planned: 0, peak: 0 }, runtime };
  },
};
const runners = await Promise.all(
  homes.map((home) => createRunner({ home, trainer, log, software: 'light runner' })),
);
console.log('ready');
await Promise.all(runners.map((runner) => runner.run(stopping.signal)));
process.exit(0);

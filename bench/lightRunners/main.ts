import { copyFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRunner } from '#gpu-runner/runner.js';
import { openLog } from '#services/log.js';

/**
 * Runners that return their input, many in one process: everything a runner does but the training, so that what
 * a round costs besides can be seen. RUNNER_HOMES lists their folders, separated by commas.
 */
const homes = (process.env['RUNNER_HOMES'] ?? '').split(',');
const PAUSE_MS = 30;
const log = openLog('light-runner', 'warn');
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
await Promise.all(
  runners.map(async (runner, index) => {
    // Hundreds that knock at the same moment would only time out and knock again.
    await sleep(index * PAUSE_MS);
    await runner.run(stopping.signal);
  }),
);
process.exit(0);

import { availableParallelism } from 'node:os';
import { DefaultLogger, makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import { isRoundtableError } from '#core/errors.js';
import { openLog } from '#services/log.js';
import { openTraces } from '#services/telemetry/traces.js';
import { TrainingPool } from '#trainer/run/trainingPool.js';
import { messageOf } from './failures.js';
import type { Passphrase } from './keystore.js';
import type { Log } from './log.js';
import { createRunner } from './runner.js';

declare const ROUNDTABLE_VERSION: string;

/**
 * Runs one home, or several that share the machine, until SIGTERM or SIGINT, logging JSON lines to standard output. It owns its process: it takes the
 * signals and installs Temporal's runtime.
 * @returns exit code: 0 after a signal, 1 when the runner cannot start; then the last line says what to do
 */
export async function runAgent(options: {
  homes: readonly string[];
  passphrase: Passphrase;
  logLevel: string;
}): Promise<number> {
  const log = openLog('runner', options.logLevel);
  const traces = openTraces('runner', (message) => log.warn({}, message));
  const stopping = new AbortController();
  const { homes, passphrase } = options;
  const trainer = new TrainingPool(Math.max(1, Math.min(homes.length, availableParallelism())));
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (stopping.signal.aborted) process.exit(1);
      log.info({ signal }, 'stopping');
      stopping.abort();
      // What a dead network holds up must not hold up the end: everything that counts is on the disk.
      setTimeout(() => process.exit(0), 3_000).unref();
    });
  try {
    quietTemporal(log);
    const software = `roundtable-runner ${ROUNDTABLE_VERSION}`;
    const runners = await Promise.all(
      homes.map((home) => createRunner({ home, trainer, log, traces, software, passphrase })),
    );
    for (const { address } of runners) log.info({ runner: address, software }, 'started');
    await Promise.all(runners.map((runner) => runner.run(stopping.signal)));
    return 0;
  } catch (error) {
    log.fatal({ code: isRoundtableError(error) ? error.code : 'INTERNAL' }, messageOf(error));
    return 1;
  } finally {
    await Promise.all([trainer.close(), traces.flush()]);
  }
}

/** Temporal's SDK logs through ours, warnings only, and leaves the signals to us. */
function quietTemporal(target: Log): void {
  Runtime.install({
    shutdownSignals: [],
    logger: new DefaultLogger('WARN', ({ level, message }) =>
      target[level === 'ERROR' ? 'error' : 'warn']({ from: 'temporal' }, message),
    ),
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) },
    },
  });
}

import { join } from 'node:path';
import type { Part } from '../supervisor/part.js';
import { http } from '../supervisor/ready.js';

/** Polling rates of a dev server's task processors; at the default of 20 a second each activity costs 100 ms. */
const processors = ['transfer', 'timer', 'visibility', 'outbound'];
const pollsPerSecond = 2000;
/** Of a task queue: each has one poller here, and a server of many runners has many queues. */
const partitions = 1;

/** Temporal's dev server with its state in SQLite; the user interface only where `uiPort` is given. */
export function temporalPart(options: {
  binary: string;
  port: number;
  httpPort: number;
  uiPort: number | null;
  stateDir: string;
}): Part {
  const { binary, port, httpPort, uiPort, stateDir } = options;
  return {
    name: 'temporal',
    role: 'temporal',
    command: binary,
    args: [
      'server start-dev --ip 127.0.0.1',
      `--port ${port} --http-port ${httpPort}`,
      uiPort === null ? '--headless' : `--ui-ip 127.0.0.1 --ui-port ${uiPort}`,
      // WAL, and a sync at checkpoints only: survives a kill of the process, if not always a loss of power.
      '--sqlite-pragma journal_mode=wal --sqlite-pragma synchronous=1',
      ...processors.map(
        (name) => `--dynamic-config-value history.${name}ProcessorMaxPollRPS=${pollsPerSecond}`,
      ),
      ...['Read', 'Write'].map(
        (way) => `--dynamic-config-value matching.numTaskqueue${way}Partitions=${partitions}`,
      ),
      '--log-level warn',
    ]
      .flatMap((group) => group.split(' '))
      .concat('--db-filename', join(stateDir, 'temporal.sqlite')),
    env: {},
    // Answers once the namespace is there, which is later than the port.
    ready: http(`http://127.0.0.1:${httpPort}/api/v1/namespaces/default`),
  };
}

import { distFile } from '../paths.js';
import type { Part } from '../supervisor/part.js';
import { http } from '../supervisor/ready.js';

/** SQS: fauxqs. Queues and messages die with it; local/events makes the queues again. */
export function sqsPart(options: { port: number }): Part {
  return {
    name: 'sqs',
    role: 'service',
    command: process.execPath,
    args: [distFile('local/emulators/sqs.js')],
    env: { SQS_PORT: String(options.port) },
    ready: http(`http://127.0.0.1:${options.port}/health`),
  };
}

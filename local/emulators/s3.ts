import { join } from 'node:path';
import { distFile } from '../paths.js';
import type { Part } from '../supervisor/part.js';
import { tcp } from '../supervisor/ready.js';

/** S3: s3rver, objects as files in the state folder. */
export function s3Part(options: { port: number; stateDir: string }): Part {
  return {
    name: 's3',
    role: 'service',
    command: process.execPath,
    args: [distFile('local/emulators/s3.js')],
    env: {
      S3_PORT: String(options.port),
      S3_FOLDER: join(options.stateDir, 's3'),
    },
    ready: tcp(options.port),
  };
}

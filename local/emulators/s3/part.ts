import { join } from 'node:path';
import { distFile } from '../../paths.js';
import type { Part } from '../../supervisor/part.js';
import { tcp } from '../../supervisor/ready.js';

/** S3: s3rver, objects as files in the state folder; the buckets exist once it is ready. */
export function s3Part(options: { port: number; stateDir: string; buckets: string[] }): Part {
  return {
    name: 's3',
    role: 'service',
    command: process.execPath,
    args: [distFile('local/emulators/s3.js')],
    env: {
      S3_PORT: String(options.port),
      S3_FOLDER: join(options.stateDir, 's3'),
      S3_BUCKETS: JSON.stringify(options.buckets),
    },
    ready: tcp(options.port),
  };
}

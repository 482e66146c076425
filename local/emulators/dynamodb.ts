import { join } from 'node:path';
import type { Part } from '../supervisor/part.js';
import { tcp } from '../supervisor/ready.js';
import { packageBinary } from './binary.js';

/** DynamoDB: dynoxide, a SQLite file in the state folder. */
export function dynamodbPart(options: { port: number; stateDir: string }): Part {
  const { port, stateDir } = options;
  return {
    name: 'dynamodb',
    role: 'service',
    command: packageBinary({
      package: `@dynoxide/${process.platform}-${process.arch}`,
      file: 'dynoxide',
      stands: 'DynamoDB',
    }),
    args: [
      'serve',
      '--host',
      '127.0.0.1',
      '--port',
      String(port),
      '--db-path',
      join(stateDir, 'dynamodb.sqlite'),
    ],
    env: {},
    ready: tcp(port),
  };
}

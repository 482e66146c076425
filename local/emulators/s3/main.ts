import { mkdirSync } from 'node:fs';
import S3rver from '@20minutes/s3rver';
import { z } from 'zod';

const env = z.object({ S3_PORT: z.coerce.number().int(), S3_FOLDER: z.string().min(1) }).parse(process.env);

mkdirSync(env.S3_FOLDER, { recursive: true });
const server = new S3rver({
  address: '127.0.0.1',
  port: env.S3_PORT,
  directory: env.S3_FOLDER,
  silent: true,
});
await server.run();
process.once('SIGTERM', () => process.exit(0));

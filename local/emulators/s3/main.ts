import { mkdirSync } from 'node:fs';
import S3rver from '@20minutes/s3rver';
import { z } from 'zod';
import { keepWhatIsStored } from './folders.js';
import { completeUploads, sweepUploads } from './uploads.js';

const env = z.object({ S3_PORT: z.coerce.number().int(), S3_FOLDER: z.string().min(1) }).parse(process.env);

mkdirSync(env.S3_FOLDER, { recursive: true });
const server = new S3rver({
  address: '127.0.0.1',
  port: env.S3_PORT,
  directory: env.S3_FOLDER,
  silent: true,
});

/**
 * A request for a bucket itself is signed by the SDK for `/bucket/`; s3rver would check it against `/bucket`. Its
 * form for buckets in host names puts the mount path behind the bucket, which gives the right one.
 */
const routes = server.middleware.length - 1;
server.middleware.splice(routes, 0, (context, next) => {
  if (/^\/[^/]+\/$/.test(context.path)) {
    context.state.vhost = true;
    context.mountPath = '/';
  }
  return next();
});

completeUploads(server, env.S3_FOLDER);
keepWhatIsStored(server);

await sweepUploads(env.S3_FOLDER);
setInterval(() => void sweepUploads(env.S3_FOLDER), 3_600_000).unref();
await server.run();
process.once('SIGTERM', () => process.exit(0));

import { buildApp } from 'fauxqs';
import { z } from 'zod';

const env = z.object({ SQS_PORT: z.coerce.number().int() }).parse(process.env);

// startFauxqs listens on every interface; the application it is made of lets us choose.
const app = buildApp({ logger: false });
await app.listen({ host: '127.0.0.1', port: env.SQS_PORT });
process.once('SIGTERM', () => process.exit(0));

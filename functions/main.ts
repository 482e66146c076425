import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { apiApp } from './api/app.js';
import { openApiParts } from './api/parts.js';
import { readEnvironment } from './environment.js';
import { openLog } from './log.js';
import { webhookApp } from './webhook/app.js';

/** The node server for one machine: the very apps that run as Lambdas. */
const log = openLog('api');
const environment = readEnvironment('API_HOST', 'PORT');
const parts = openApiParts(log);

const app = new Hono();
app.mount('/webhooks', webhookApp(parts).fetch, { replaceRequest: (request) => request });
app.mount('/', apiApp(parts).fetch, { replaceRequest: (request) => request });

const server = serve(
  { fetch: app.fetch, hostname: environment.API_HOST, port: environment.PORT },
  (address) => log.info({ host: environment.API_HOST, port: address.port }, 'listening'),
);

let stopping = false;
async function stop(signal: string): Promise<void> {
  if (stopping) return;
  stopping = true;
  log.info({ signal }, 'stopping');
  if ('closeIdleConnections' in server) server.closeIdleConnections();
  await new Promise((done) => server.close(done));
  await parts.temporal.close();
  process.exit(0);
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

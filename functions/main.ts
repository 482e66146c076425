import { serve } from '@hono/node-server';
import { apiApp } from './api/app.js';
import { openApiParts } from './api/parts.js';
import { readEnvironment } from './environment.js';
import { openLog } from './log.js';
import { pageApp } from './page.js';
import { webhookApp } from './webhook/app.js';

/** The node server for one machine: the very apps that run as Lambdas, and the page. */
const log = openLog('api');
const environment = readEnvironment('API_HOST', 'PORT', 'WEB_FOLDER', 'WEB_CONFIG');
const parts = openApiParts(log);

const app = apiApp(parts).route('/', webhookApp(parts));
if (environment.WEB_FOLDER !== undefined)
  app.route(
    '/',
    pageApp(environment.WEB_FOLDER, {
      api: '.',
      stack: parts.coordinator,
      deployment: parts.deployment,
      ...environment.WEB_CONFIG,
    }),
  );

const server = serve(
  { fetch: app.fetch, hostname: environment.API_HOST, port: environment.PORT },
  (address) => log.info({ host: environment.API_HOST, port: address.port }, 'listening'),
);

let stopping = false;
async function stop(signal: string): Promise<void> {
  if (stopping) return;
  stopping = true;
  log.info({ signal }, 'stopping');
  // Requests under way are answered; connections that only wait are closed.
  await new Promise((done) => server.close(done));
  await parts.temporal.close();
  process.exit(0);
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

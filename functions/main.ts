import { serve } from '@hono/node-server';
import { apiApp } from './api/app.js';
import { openApiParts } from './api/parts.js';
import { readEnvironment } from './environment.js';
import { openLog } from '#services/log.js';
import { openPrometheus } from '#services/telemetry/prometheus.js';
import { openTraces } from '#services/telemetry/traces.js';
import { pageApp } from './page.js';
import { webhookApp } from './webhook/app.js';

/** The node server for one machine: the very apps that run as Lambdas, and the page. */
const log = openLog('api');
const environment = readEnvironment('API_HOST', 'PORT', 'METRICS_ADDRESS', 'WEB_FOLDER', 'WEB_CONFIG');
const prometheus = openPrometheus();
const telemetry = {
  traces: openTraces('api', (message) => log.warn({}, message)),
  metrics: prometheus,
};
const parts = openApiParts(log, telemetry);

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

if (environment.METRICS_ADDRESS !== undefined) await prometheus.serve(environment.METRICS_ADDRESS);
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
  await telemetry.traces.flush();
  process.exit(0);
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

import { randomUUID } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { openChain } from '#services/chain.js';
import { openLog } from '#services/log.js';
import { openTable } from '#services/table.js';
import { openPrometheus } from '#services/telemetry/prometheus.js';
import { temporalPlace } from '#services/temporal.js';
import { Admissions } from './admission.js';
import { Door } from './door.js';
import { readEnvironment } from './environment.js';
import { serveHealth } from './health.js';
import { Presence } from './presence.js';
import { Refusals } from './refusals.js';
import { Sessions } from './sessions.js';
import { Standing } from './standing.js';
import { readSecrets, TaskTokens } from './taskTokens.js';
import { Upstream } from './upstream.js';

/** The only way from outside to Temporal: runners come in by certificate and may do what a worker must, no more. */
const environment = readEnvironment();
const log = openLog('gatekeeper', environment.LOG_LEVEL);
const ending = new AbortController();
const certificate = () => ({
  cert: readFileSync(environment.GATEKEEPER_CERTIFICATE_FILE, 'utf8'),
  key: readFileSync(environment.GATEKEEPER_KEY_FILE, 'utf8'),
});

const table = openTable({ table: environment.TABLE_NAME });
const chain = openChain({
  rpcUrls: environment.CHAIN_RPC_URLS,
  deployment: environment.CHAIN_DEPLOYMENT,
  network: environment.CHAIN_NETWORK,
});
const prometheus = openPrometheus();
const presence = new Presence(table, randomUUID(), log);
const house = {
  namespace: environment.TEMPORAL_NAMESPACE,
  tokens: new TaskTokens(readSecrets(environment.GATEKEEPER_SECRETS_FILE)),
  upstream: new Upstream(await temporalPlace(environment)(), log),
  admissions: new Admissions(table, chain, log),
  // While the gatekeeper itself goes, its runners are on their way to another one.
  sessions: new Sessions((runner) => {
    if (!ending.signal.aborted) presence.lost(runner);
  }),
  presence,
  refusals: new Refusals(log, prometheus),
  metrics: prometheus,
};
let shown = certificate();
const door = new Door(house, shown);
const standing = new Standing(house, door, () => shown.cert);
const health = () => standing.health(ending.signal.aborted ? 'draining' : 'ok');

const port = await door.open(environment.GATEKEEPER_PORT, environment.GATEKEEPER_HOST);
const healthServer = await serveHealth(environment.GATEKEEPER_HEALTH_PORT, health);
standing.showTo(prometheus);
const { METRICS_ADDRESS: metricsAt } = environment;
const metricsServer = metricsAt === undefined ? null : await prometheus.serve(metricsAt);
renewCertificate();
log.info(
  { port, health: healthServer.port, metrics: metricsServer?.port ?? null },
  'the gatekeeper is ready',
);

const work = Promise.all([
  presence.run(ending.signal),
  standing.log(log, ending.signal),
  house.admissions.watch(
    () => house.sessions.runners(),
    () => {
      for (const visit of house.sessions) {
        const objection = visit.objection();
        if (objection !== null) visit.end(objection);
      }
    },
    ending.signal,
  ),
]);

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => {
    if (ending.signal.aborted) process.exit(1);
    log.info({ signal, ...health() }, 'draining');
    ending.abort();
    void Promise.all([door.close(), work]).then(() => process.exit(0));
  });

/** A certificate that was put in the file's place is shown from the next connection on. */
function renewCertificate(): void {
  const path = environment.GATEKEEPER_CERTIFICATE_FILE;
  let changedAt = statSync(path).mtimeMs;
  setInterval(() => {
    try {
      const { mtimeMs } = statSync(path);
      if (mtimeMs === changedAt) return;
      const renewed = certificate();
      door.renew(renewed);
      shown = renewed;
      changedAt = mtimeMs;
      log.info({}, 'a new certificate is in use');
    } catch (error) {
      log.error({ err: error }, 'the new certificate cannot be used; the old one is');
    }
  }, 10_000).unref();
}

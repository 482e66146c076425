import { randomUUID } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { openChain } from '#services/chain.js';
import { openLog } from '#services/log.js';
import { openTable } from '#services/table.js';
import { temporalPlace } from '#services/temporal.js';
import { Admissions } from './admission.js';
import { Door } from './door.js';
import { readEnvironment } from './environment.js';
import { serveHealth, type Health } from './health.js';
import { Presence } from './presence.js';
import { Refusals } from './refusals.js';
import { Sessions } from './sessions.js';
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
  refusals: new Refusals(log),
};
const door = new Door(house, certificate());

const health = (): Health => ({
  status: ending.signal.aborted ? 'draining' : 'ok',
  runners: house.sessions.runners().length,
  sessions: house.sessions.size,
  polls: [...house.sessions].reduce((sum, visit) => sum + visit.polls, 0),
  strangers: door.strangers,
  refused: house.refusals.total,
  memoryMegabytes: Math.round(process.memoryUsage.rss() / 1e6),
});

const port = await door.open(environment.GATEKEEPER_PORT, environment.GATEKEEPER_HOST);
const healthServer = await serveHealth(environment.GATEKEEPER_HEALTH_PORT, health);
renewCertificate();
log.info({ port, health: healthServer.port }, 'the gatekeeper is ready');

const work = Promise.all([
  presence.run(ending.signal),
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
      door.renew(certificate());
      changedAt = mtimeMs;
      log.info({}, 'a new certificate is in use');
    } catch (error) {
      log.error({ err: error }, 'the new certificate cannot be used; the old one is');
    }
  }, 10_000).unref();
}

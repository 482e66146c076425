/** The local Arweave gateway as a process: 127.0.0.1 only, JSON lines on stdout, ends on SIGTERM and SIGINT. */
import { serve } from '@hono/node-server';
import { openLog } from '#services/log.js';
import { createGateway } from './app.js';
import { readEnvironment } from './environment.js';
import { Weave } from './weave.js';

const log = openLog('gateway');

try {
  const { port, folder } = readEnvironment();
  const weave = new Weave(folder);
  const server = serve({ fetch: createGateway(weave, log).fetch, hostname: '127.0.0.1', port }, (info) => {
    log.info({ port: info.port, height: weave.chain.tip.height }, 'listening');
  });
  server.on('error', fail);
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      log.info({ signal }, 'stopping');
      // Nothing is held back in memory, so there is nothing to wait for.
      process.exit(0);
    });
} catch (error) {
  fail(error);
}

function fail(error: unknown): never {
  log.fatal(error instanceof Error ? { reason: error.message } : {}, 'the gateway cannot run');
  process.exit(1);
}

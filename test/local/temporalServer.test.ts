import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Connection, Client } from '@temporalio/client';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Supervisor } from '#local/supervisor/supervisor.js';
import { findTemporal } from '#local/temporal/find.js';
import { temporalPart } from '#local/temporal/part.js';
import { until } from '../support/until.js';

let folder = '';
let supervisor: Supervisor;
let ports: Record<'temporal' | 'temporalHttp' | 'temporalUi', number>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-test-'));
  const { path } = await findTemporal(); // on a machine that never had one: a build of some minutes
  supervisor = await Supervisor.open(folder);
  ({ ports } = await supervisor.choosePorts({ temporal: null, temporalHttp: null, temporalUi: null }));
  await supervisor.start(
    temporalPart({
      binary: path,
      port: ports.temporal,
      httpPort: ports.temporalHttp,
      uiPort: ports.temporalUi,
      stateDir: folder,
    }),
  );
}, 30 * 60_000);

afterAll(async () => {
  await supervisor.stopAll();
  rmSync(folder, { recursive: true });
});

test('is ready once the namespace answers, shows its pages, and keeps a workflow through a kill -9', async () => {
  const connection = await Connection.connect({ address: `127.0.0.1:${ports.temporal}` });
  const client = new Client({ connection });
  await client.workflow.start('anything', { taskQueue: 'nobody', workflowId: 'kept', args: [] });
  expect((await fetch(`http://127.0.0.1:${ports.temporalUi}/`)).status).toBe(200);

  const [before] = supervisor.status();
  process.kill(before?.pid ?? 0, 'SIGKILL');
  await until(() => {
    const [now] = supervisor.status();
    return now?.restarts === 1 && now.state === 'ready';
  }, 'Temporal is back');
  const description = await client.workflow.getHandle('kept').describe();
  expect(description.status.name).toBe('RUNNING');
  await connection.close();
});

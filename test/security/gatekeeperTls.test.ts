import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { createAuthority, issueFrom, type KeyPair } from '#services/certificateAuthority.js';
import type { Table } from '#services/table.js';
import type { TemporalCredentials } from '#services/temporal.js';
import { ask } from '#test/gpu-runner/coordinator.js';
import { until } from '#test/support/until.js';
import { startTable, type Stores } from '#test/services/realParts.js';
import { startGatekeeper, type TestGatekeeper } from '../support/gatekeeper.js';
import { startTemporal } from '../support/temporal.js';
import { openDoor, type TemporalDoor } from '../support/temporalDoor.js';
import { completionOf, enter, hangUp, knock, makeRunner, pollOf, send, takeTask } from './runners.js';

const apiKey = 'key-of-this-namespace';
const hour = 3_600;
let stores: Stores;
let temporal: TestWorkflowEnvironment;
let table: Table;
let authority: KeyPair;
let server: KeyPair;
let client: KeyPair;
beforeAll(async () => {
  [{ stores, table }, temporal] = await Promise.all([startTable(), startTemporal()]);
  authority = await createAuthority('test', hour);
  const issue = (name: string) => issueFrom(authority, { name, hosts: ['127.0.0.1'], seconds: hour });
  [server, client] = await Promise.all([issue('server'), issue('gatekeeper')]);
}, 120_000);
afterAll(async () => {
  await temporal.teardown();
  await stores.stop();
});

const open: { gatekeeper: TestGatekeeper; door: TemporalDoor }[] = [];
afterEach(async () => {
  for (const { gatekeeper, door } of open.splice(0)) {
    await gatekeeper.end('SIGKILL');
    await door.close();
  }
});

async function start(
  asks: { clients?: string; apiKey?: string },
  credentials: TemporalCredentials,
): Promise<{ gatekeeper: TestGatekeeper; door: TemporalDoor }> {
  const door = await openDoor({ temporal: temporal.address ?? '', server, ...asks });
  const file = join(stores.folder, 'temporal.json');
  writeFileSync(file, JSON.stringify(credentials), { mode: 0o600 });
  const gatekeeper = await startGatekeeper({
    temporal: door.address,
    table,
    dynamodb: stores.ports.dynamodb,
    folder: stores.folder,
    env: { TEMPORAL_CREDENTIALS_FILE: file },
  });
  open.push({ gatekeeper, door });
  return { gatekeeper, door };
}

const shown = (pair: KeyPair) => ({ ...pair, ca: authority.certificate });

test.each(['a certificate', 'an API key'])(
  'a runner takes and answers its task through a gatekeeper that shows Temporal %s',
  async (what) => {
    const { gatekeeper, door } =
      what === 'an API key'
        ? await start({ apiKey }, { apiKey, ca: authority.certificate })
        : await start({ clients: authority.certificate }, shown(client));
    const runner = await makeRunner();
    await enter(table, runner);
    const asked = await ask(
      temporal.address ?? '',
      { runner: runner.runner },
      { codec: gatekeeper.codec, heartbeatSeconds: 20 },
    );
    const session = knock(gatekeeper, runner);
    const task = await takeTask(session, runner.runner);
    const answer = { kind: 'refused', code: 'done' };
    const body = await completionOf(task, runner, gatekeeper.member.publicKey, answer);
    expect((await send(session, 'RespondActivityTaskCompleted', body)).status).toBe(0);
    expect(await asked.outcome).toMatchObject({ kind: 'answered', answer: { code: 'done' } });
    expect(door.denied).toBe(0);
    hangUp(session);
  },
);

test('with a wrong key its runners are told to come again, and its log says what is wrong', async () => {
  const { gatekeeper } = await start({ apiKey }, { apiKey: 'another-key', ca: authority.certificate });
  const runner = await makeRunner();
  await enter(table, runner);
  const session = knock(gatekeeper, runner);
  const { status, message } = await send(session, 'PollActivityTaskQueue', pollOf(runner.runner));
  // UNAVAILABLE: a worker tries again; UNAUTHENTICATED would end it.
  expect([status, message]).toEqual([14, 'Temporal does not answer']);
  await until(() => gatekeeper.lines.some(({ msg }) => msg === 'no way to Temporal'), 'a line in the log');
  const line = gatekeeper.lines.find(({ msg }) => msg === 'no way to Temporal');
  expect(line).toMatchObject({ code: 'TEMPORAL_REFUSED', reason: expect.stringContaining('API key') });
  expect(JSON.stringify(gatekeeper.lines)).not.toContain('another-key');
  hangUp(session);
});

test('with a certificate of another authority, likewise', async () => {
  const other = await createAuthority('other', hour);
  const stranger = await issueFrom(other, { name: 'stranger', hosts: [], seconds: hour });
  const { gatekeeper, door } = await start({ clients: authority.certificate }, shown(stranger));
  const runner = await makeRunner();
  await enter(table, runner);
  const session = knock(gatekeeper, runner);
  expect((await send(session, 'PollActivityTaskQueue', pollOf(runner.runner))).status).toBe(14);
  await until(() => gatekeeper.lines.some(({ msg }) => msg === 'no way to Temporal'), 'a line in the log');
  expect(gatekeeper.lines.find(({ msg }) => msg === 'no way to Temporal')).toMatchObject({
    code: 'TEMPORAL_REFUSED',
    reason: expect.stringContaining('client certificate'),
  });
  expect(door.passed).toEqual([]);
  hangUp(session);
});

test('with an expired certificate it does not start, and says when that ended', async () => {
  const expired = await issueFrom(authority, { name: 'gatekeeper', hosts: [], seconds: -60 });
  await expect(start({ clients: authority.certificate }, shown(expired))).rejects.toThrow(/ended with 1/);
}, 30_000);

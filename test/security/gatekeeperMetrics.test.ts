import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { gatekeeperFigures } from '#infra/figures.js';
import { until } from '#test/support/until.js';
import { openHouse, type TestHouse } from './house.js';
import { framed, hangUp, knock, makeRunner, pollOf, send } from './runners.js';

let house: TestHouse;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(() => house.close());

/** The value of a metric with these labels; null when there is no such line. */
async function value(metric: string, labels = ''): Promise<number | null> {
  const name = `roundtable_gatekeeper_${metric}${labels === '' ? '' : `{${labels}}`} `;
  const line = (await house.gatekeeper.metrics()).split('\n').find((each) => each.startsWith(name));
  return line === undefined ? null : Number(line.slice(name.length));
}

test('calls are counted and timed by what they are and how they ended, open polls shown while they are open', async () => {
  const alice = await house.guest();
  const session = knock(house.gatekeeper, alice);
  const poll = send(session, 'PollActivityTaskQueue', pollOf(alice.runner), { 'grpc-timeout': '3S' });
  await until(async () => (await value('polls')) === 1, 'the poll is open');
  expect([await value('runners'), await value('sessions'), await value('strangers')]).toEqual([1, 1, 0]);
  expect((await send(session, 'GetSystemInfo', framed(new Uint8Array(0)))).status).toBe(0);
  expect(await value('call_seconds_count', 'call="GetSystemInfo",outcome="passed"')).toBe(1);
  await poll;
  expect(await value('polls')).toBe(0);
  hangUp(session);
  await until(async () => (await value('runners')) === 0, 'it has gone');
});

test('refusals are counted by reason; neither a path nor a number that a stranger chooses makes a new line', async () => {
  const mallory = await house.guest();
  const session = knock(house.gatekeeper, mallory);
  for (const path of ['TerminateWorkflowExecution', 'StartWorkflowExecution', '/somewhere/else'])
    await send(session, path, framed(new Uint8Array(0)));
  expect(await value('refusals_total', 'reason="a call that runners may not make"')).toBe(3);
  expect(await value('call_seconds_count', 'call="other",outcome="refused"')).toBe(3);
  // Field 100 and field 200 as the beginning of a group, which no message here has.
  for (const group of [
    [0xa3, 0x06],
    [0xc3, 0x0c],
  ])
    await send(session, 'PollActivityTaskQueue', framed(Uint8Array.from(group)));
  expect(await value('refusals_total', 'reason="field N is a group or of an unknown kind"')).toBe(2);
  hangUp(session);
  const stranger = knock(house.gatekeeper, await makeRunner());
  await send(stranger, 'GetSystemInfo', framed(new Uint8Array(0)));
  expect(await value('refusals_total', 'reason="a certificate that stands for nobody, or has expired"')).toBe(
    1,
  );
  hangUp(stranger);
});

test('certificates that end are seen before they do: its own, and those of runners that did not renew', async () => {
  const { certificate } = house.gatekeeper;
  expect(await value('certificate_end_seconds')).toBeCloseTo(certificate.expiresAt, -1);
  const fresh = await house.guest(24 * 3_600);
  const late = await house.guest(1_800);
  const sessions = [fresh, late].map((runner) => knock(house.gatekeeper, runner));
  await until(async () => (await value('sessions')) === 2, 'both are here');
  expect(await value('runner_certificates_ending')).toBe(1);
  const [standing] = house.gatekeeper.lines.filter(({ msg }) => msg === 'standing');
  for (const field of Object.keys(gatekeeperFigures)) expect(standing).toHaveProperty(field, 0);
  sessions.forEach(hangUp);
});

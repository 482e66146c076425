import { writeFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { gatekeeperHost, issueCertificate } from '#services/certificate.js';
import { until } from '#test/support/until.js';
import { openHouse, type TestHouse } from './house.js';
import {
  closed,
  enter,
  framed,
  hangUp,
  knock,
  makeRunner,
  pollOf,
  send,
  type TestRunner,
} from './runners.js';

let house: TestHouse;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(() => house.close());
beforeEach(() => void house.gatekeeper.refusals());

const nothing = framed(new Uint8Array(0));
const greet = (session: ReturnType<typeof knock>) => send(session, 'GetSystemInfo', nothing);
const unauthenticated = 16;

describe('whom nobody knows', () => {
  test('a certificate that never entered is told so and put out', async () => {
    const session = knock(house.gatekeeper, await makeRunner());
    expect(await greet(session)).toMatchObject({
      status: unauthenticated,
      message: 'a certificate that stands for nobody, or has expired',
    });
    expect(await closed(session)).toBeLessThan(3_000);
    await until(
      () => house.gatekeeper.refusals().includes('a certificate that stands for nobody, or has expired'),
      'the line of the log',
    );
  });

  test('no certificate', async () => {
    const session = knock(house.gatekeeper, null);
    expect((await greet(session)).status).not.toBe(0);
    expect(await closed(session)).toBeLessThan(3_000);
  });

  test("somebody else's certificate without its key", async () => {
    const [alice, mallory] = await Promise.all([house.guest(), makeRunner()]);
    expect(() =>
      knock(house.gatekeeper, {
        certificate: { ...alice.certificate, privateKey: mallory.certificate.privateKey },
      }),
    ).toThrow(/key/);
  });

  test('a certificate that has expired', async () => {
    const runner = await makeRunner(1);
    await enter(house.table, runner);
    await until(() => Date.now() / 1_000 > runner.certificate.expiresAt, 'its end');
    const session = knock(house.gatekeeper, runner);
    expect((await greet(session)).status).toBe(unauthenticated);
    hangUp(session);
  });

  test('a certificate that expires while its session is open', async () => {
    const runner = await house.guest(3);
    const session = knock(house.gatekeeper, runner);
    expect((await greet(session)).status).toBe(0);
    const poll = send(session, 'PollActivityTaskQueue', pollOf(runner.runner));
    await closed(session);
    expect(Date.now() / 1_000 - runner.certificate.expiresAt).toBeLessThan(3);
    // The poll ends without a task rather than with an error: a worker asks again, with its new certificate.
    expect(await poll).toMatchObject({ status: 0, body: Buffer.alloc(0) });
  });
});

describe('whom the member of the stack bars is cut off within five seconds', () => {
  test('a suspended runner, on every session it has, until that is lifted', async () => {
    const runner = await house.guest();
    const [first, second] = [knock(house.gatekeeper, runner), knock(house.gatekeeper, runner)];
    for (const session of [first, second]) expect((await greet(session)).status).toBe(0);
    const poll = send(first, 'PollActivityTaskQueue', pollOf(runner.runner));
    const ends = Promise.all([closed(first), closed(second), poll]);
    await suspend(runner);
    const [after, also, { status }] = await ends;
    expect(Math.max(after, also)).toBeLessThan(5_000);
    expect(status).not.toBe(0);
    await until(
      () => house.gatekeeper.refusals().includes('suspended by the member of this stack'),
      'the line of the log',
    );
    const again = knock(house.gatekeeper, runner);
    expect(await greet(again)).toMatchObject({ status: unauthenticated });
    hangUp(again);
    await house.table.suspendRunner(runner.runner, null);
    await until(async () => {
      const session = knock(house.gatekeeper, runner);
      const { status } = await greet(session);
      hangUp(session);
      return status === 0;
    }, 'to be let in again');
  });

  test('a stolen certificate that was revoked, while the runner goes on with another', async () => {
    const stolen = await house.guest();
    const fresh: TestRunner = { ...(await makeRunner()), runner: stolen.runner };
    await enter(house.table, fresh);
    const [thief, owner] = [knock(house.gatekeeper, stolen), knock(house.gatekeeper, fresh)];
    expect((await greet(thief)).status).toBe(0);
    expect((await greet(owner)).status).toBe(0);
    const end = closed(thief);
    await house.table.revokeEntry(stolen.certificate.fingerprint);
    expect(await end).toBeLessThan(5_000);
    const again = knock(house.gatekeeper, stolen);
    expect(await greet(again)).toMatchObject({
      status: unauthenticated,
      message: 'a certificate that was revoked',
    });
    expect((await greet(owner)).status).toBe(0);
    [again, owner].forEach(hangUp);
  });
});

describe('the TLS layer', () => {
  test('is 1.3 or nothing', async () => {
    const { certificate } = await house.guest();
    const own = { cert: certificate.certificate, key: certificate.privateKey };
    await expect(tls({ ...own, maxVersion: 'TLSv1.2' })).rejects.toThrow(/version|alert/i);
    const socket = await tls(own);
    expect(socket.getProtocol()).toBe('TLSv1.3');
    socket.destroy();
    await until(() => house.gatekeeper.refusals().includes('a failed TLS handshake'), 'the refusal');
  });

  test('shows the certificate that the member signed for, whatever the address', async () => {
    const { certificate } = await house.guest();
    const socket = await tls({ cert: certificate.certificate, key: certificate.privateKey });
    expect(socket.authorized).toBe(true);
    socket.destroy();
    const other = await makeRunner();
    await expect(
      tls({ ca: other.certificate.certificate, cert: certificate.certificate, key: certificate.privateKey }),
    ).rejects.toThrow(/self.signed/);
  });

  test('takes up a certificate that was put in the place of the old one', async () => {
    const { certificate } = await house.guest();
    const { privateKey } = house.gatekeeper.certificate;
    const next = await issueCertificate({ privateKey, name: 'next', seconds: 600, purpose: 'gatekeeper' });
    writeFileSync(house.gatekeeper.certificateFile, next.certificate);
    const shown = async () => {
      const own = { cert: certificate.certificate, key: certificate.privateKey };
      const socket = await tls({ ...own, ca: [house.gatekeeper.certificate.certificate, next.certificate] });
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return `0x${fingerprint256.replaceAll(':', '').toLowerCase()}` === next.fingerprint;
    };
    await until(shown, 'the new certificate', 15);
    writeFileSync(house.gatekeeper.certificateFile, house.gatekeeper.certificate.certificate);
    await until(async () => !(await shown()), 'the old certificate', 15);
  }, 40_000);

  test('resumes no session: a certificate is shown on every connection', async () => {
    const { certificate } = await house.guest();
    const own = { cert: certificate.certificate, key: certificate.privateKey };
    const first = await tls(own);
    const sessions: Buffer[] = [];
    first.on('session', (session: Buffer) => sessions.push(session));
    first.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await new Promise((resolve) => first.once('data', resolve));
    first.destroy();
    for (const session of sessions) {
      const second = await tls({ ...own, session });
      expect(second.isSessionReused()).toBe(false);
      second.destroy();
    }
  });

  test('speaks HTTP/2 only', async () => {
    const { certificate } = await house.guest();
    const own = { cert: certificate.certificate, key: certificate.privateKey };
    const spoken = await tls({ ...own, ALPNProtocols: ['http/1.1'] }).then(
      (socket) =>
        new Promise((resolve) => {
          socket.once('close', () => resolve('closed')).on('error', () => undefined);
          socket.on('data', () => resolve('answered'));
          socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
        }),
      () => 'closed',
    );
    expect(spoken).toBe('closed');
  });
});

describe('whoever is slow', () => {
  test('a connection that says nothing, or one byte a second, ends after five seconds', async () => {
    const opened = performance.now();
    const [silent, slow] = [tcp(), tcp()];
    const timer = setInterval(() => slow.write(Buffer.from([0x16])), 1_000);
    await Promise.all(
      [silent, slow].map((socket) => new Promise((resolve) => socket.once('close', resolve))),
    );
    clearInterval(timer);
    expect(performance.now() - opened).toBeLessThan(8_000);
  }, 15_000);

  test('a request that never ends does, after ten seconds, and its session goes on', async () => {
    const session = knock(house.gatekeeper, await house.guest());
    const stream = session.request({
      ':method': 'POST',
      ':path': '/temporal.api.workflowservice.v1.WorkflowService/PollActivityTaskQueue',
      'content-type': 'application/grpc',
    });
    stream.on('error', () => undefined);
    const timer = setInterval(() => !stream.destroyed && stream.write(Buffer.from([0])), 1_000);
    const began = performance.now();
    await new Promise((resolve) => stream.once('close', resolve));
    clearInterval(timer);
    expect(performance.now() - began).toBeLessThan(13_000);
    expect((await greet(session)).status).toBe(0);
    hangUp(session);
  }, 20_000);

  test('more streams than a session has are refused, and sessions beyond four end the oldest', async () => {
    const runner = await house.guest();
    const sessions = [];
    for (let i = 0; i < 5; i++) {
      const session = knock(house.gatekeeper, runner);
      expect((await greet(session)).status).toBe(0);
      sessions.push(session);
    }
    const [oldest] = sessions;
    if (oldest) await closed(oldest);
    expect(sessions.slice(1).every((session) => !session.destroyed)).toBe(true);
    expect(sessions[4]?.remoteSettings.maxConcurrentStreams).toBe(16);
    sessions.forEach(hangUp);
  });
});

test('10,000 idle connections take little memory, and a runner finds a place among them', async () => {
  const { memoryMegabytes } = await house.gatekeeper.health();
  const runner = await house.guest();
  const sockets: Socket[] = [];
  const opened = performance.now();
  while (sockets.length < 10_000) {
    const some = Array.from({ length: 500 }, () => tcp());
    await Promise.all(
      some.map((socket) => new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))),
    );
    sockets.push(...some);
    if (sockets.length % 2_000 === 0) {
      const session = knock(house.gatekeeper, runner);
      expect((await greet(session)).status).toBe(0);
      hangUp(session);
      expect((await house.gatekeeper.health()).strangers).toBeLessThanOrEqual(513);
    }
  }
  const seconds = (performance.now() - opened) / 1_000;
  const after = await house.gatekeeper.health();
  console.log(
    `10,000 connections in ${seconds.toFixed(1)} s: ${after.strangers} are held, ${after.memoryMegabytes - memoryMegabytes} MB more`,
  );
  expect(after.memoryMegabytes - memoryMegabytes).toBeLessThan(100);
  for (const socket of sockets) socket.destroy();
  await until(async () => (await house.gatekeeper.health()).strangers === 0, 'all to be gone');
}, 60_000);

function tcp(): Socket {
  const socket = connectTcp(house.gatekeeper.port, '127.0.0.1');
  return socket.on('error', () => undefined);
}

const suspend = ({ runner }: TestRunner): Promise<void> =>
  house.table.suspendRunner(runner, {
    by: `0x${'aa'.repeat(20)}`,
    reason: 'test',
    at: new Date().toISOString(),
  });

function tls(options: object): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      port: house.gatekeeper.port,
      host: '127.0.0.1',
      ca: house.gatekeeper.certificate.certificate,
      servername: gatekeeperHost,
      ALPNProtocols: ['h2'],
      ...options,
    });
    socket.once('secureConnect', () => resolve(socket)).once('error', reject);
  });
}

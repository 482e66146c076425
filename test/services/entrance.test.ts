import { createServer, connect, type TLSSocket } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import type { Hex } from '#core/hex.js';
import {
  certificateExpiry,
  certificateFingerprint,
  gatekeeperHost,
  generateTlsKey,
  issueCertificate,
  publicKeyFingerprint,
} from '#services/certificate.js';
import { checkEntrance, signEntrance } from '#services/entrance.js';

const place = { chainId: 31337, consortium: `0x${'cc'.repeat(20)}` } as const;
const nextHour = () => Math.floor(Date.now() / 1_000) + 3_600;

describe('a certificate', () => {
  test('is known by its fingerprint on both ends of a TLS 1.3 connection that trusts nothing else', async () => {
    const [gatekeeper, runner] = await Promise.all([
      issueCertificate({ privateKey: generateTlsKey(), name: 'north', seconds: 60, purpose: 'gatekeeper' }),
      issueCertificate({ privateKey: generateTlsKey(), name: 'north-1', seconds: 60, purpose: 'runner' }),
    ]);
    const { seen, protocol } = await handshake(
      { key: gatekeeper.privateKey, cert: gatekeeper.certificate },
      { key: runner.privateKey, cert: runner.certificate, ca: gatekeeper.certificate },
    );
    expect(certificateFingerprint(seen)).toBe(runner.fingerprint);
    expect(protocol).toBe('TLSv1.3');
  });

  test('that is not the one signed for is refused by the client', async () => {
    const [gatekeeper, other] = await Promise.all(
      ['north', 'north'].map((name) =>
        issueCertificate({ privateKey: generateTlsKey(), name, seconds: 60, purpose: 'gatekeeper' }),
      ),
    );
    await expect(
      handshake(
        { key: String(gatekeeper?.privateKey), cert: String(gatekeeper?.certificate) },
        { ca: String(other?.certificate) },
      ),
    ).rejects.toThrow(/self-signed|unable to verify|signature failure/);
  });

  test('is renewed under the same key: its public key stays, its fingerprint does not', async () => {
    const privateKey = generateTlsKey();
    const issue = () => issueCertificate({ privateKey, name: 'north-1', seconds: 60, purpose: 'runner' });
    const [first, second] = [await issue(), await issue()];
    expect(publicKeyFingerprint(first.certificate)).toBe(publicKeyFingerprint(second.certificate));
    expect(first.fingerprint).not.toBe(second.fingerprint);
    expect(certificateExpiry(first.certificate)).toBe(first.expiresAt);
  });

  test('is not made from something that is no key, and the error does not show it', async () => {
    const issue = issueCertificate({ privateKey: 'secret words', name: 'x', seconds: 60, purpose: 'runner' });
    await expect(issue).rejects.toMatchObject({
      code: 'KEY_INVALID',
      message: expect.not.stringContaining('secret'),
    });
  });
});

describe("a stack's entrance", () => {
  test('counts when its member signed it, and for nobody else', async () => {
    const { entrance, member } = await signed();
    expect(() => checkEntrance(entrance, place, member)).not.toThrow();
    const other = Wallet.createRandom().address.toLowerCase() as Hex;
    expect(() => checkEntrance(entrance, place, other)).toThrow(/was not signed by that member/);
  });

  test.each<[string, (entrance: Signed) => Signed]>([
    ['address', (it) => ({ ...it, statement: { ...it.statement, gatekeeper: 'evil.example:7233' } })],
    ['key', (it) => ({ ...it, statement: { ...it.statement, sealingKey: `0x${'01'.repeat(32)}` } })],
    ['chain', (it) => it],
  ])('counts no longer with another %s', async (what, change) => {
    const { entrance, member } = await signed();
    const where = what === 'chain' ? { ...place, chainId: 1 } : place;
    expect(() => checkEntrance(change(entrance), where, member)).toThrow(/not signed by that member/);
  });

  test('counts no longer with another certificate, or after its time', async () => {
    const { entrance, member } = await signed();
    const other = await issueCertificate({
      privateKey: generateTlsKey(),
      name: 'north',
      seconds: 60,
      purpose: 'gatekeeper',
    });
    expect(() => checkEntrance({ ...entrance, certificates: [other.certificate] }, place, member)).toThrow(
      /not those that the member signed for/,
    );
    const old = await signed(1);
    expect(() => checkEntrance(old.entrance, place, old.member)).toThrow(/expired/);
  });
});

type Signed = Awaited<ReturnType<typeof signEntrance>>;

async function signed(expiry = nextHour()): Promise<{ entrance: Signed; member: Hex }> {
  const wallet = new Wallet(Wallet.createRandom().privateKey);
  const { certificate } = await issueCertificate({
    privateKey: generateTlsKey(),
    name: 'north',
    seconds: 60,
    purpose: 'gatekeeper',
  });
  const entrance = await signEntrance(wallet, place, {
    gatekeeper: '127.0.0.1:7233',
    namespace: 'default',
    sealingKey: `0x${'02'.repeat(32)}`,
    expiry,
    certificates: [certificate],
  });
  return { entrance, member: wallet.address.toLowerCase() as Hex };
}

async function handshake(
  server: { key: string; cert: string },
  client: { key?: string; cert?: string; ca: string },
): Promise<{ seen: Uint8Array; protocol: string | null }> {
  const listener = createServer({
    ...server,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
  });
  const arrived = new Promise<TLSSocket>((resolve) => listener.once('secureConnection', resolve));
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', servername: gatekeeperHost, ...client });
  try {
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    const there = await arrived;
    return { seen: there.getPeerCertificate().raw, protocol: there.getProtocol() };
  } finally {
    socket.destroy();
    await new Promise((resolve) => listener.close(resolve));
  }
}

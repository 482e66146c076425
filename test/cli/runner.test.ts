import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { EventEmitter } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import { stringify } from 'yaml';
import { deploymentAt } from '#contracts/deployment.js';
import type { Hex } from '#core/hex.js';
import { stackEntrance } from '#core/entryMessages.js';
import { generateTlsKey, issueCertificate } from '#services/certificate.js';
import { checkEntrance } from '#services/entrance.js';
import { secretReader } from '#cli/terminal/secret.js';
import { DecisionLog } from '#gpu-runner/decisionLog.js';
import { unlockKey } from '#gpu-runner/keystore.js';
import { homePaths } from '#gpu-runner/runnerHome.js';
import { type } from './person.js';

let folder: string;
let home: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-owner-'));
  home = join(folder, 'home');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const passphrase = { ROUNDTABLE_PASSPHRASE: 'correct horse battery' };
const coordinator = `0x${'c0'.repeat(20)}`;
const key = `0x${'42'.repeat(32)}`;

describe('init', () => {
  test('without a passphrase makes nothing, and says where one can come from', async () => {
    const { code, err } = await type(['runner', 'init', home]);
    expect(code).toBe(1);
    expect(err).toContain('PASSPHRASE_MISSING');
    expect(err).toContain('ROUNDTABLE_PASSPHRASE');
    expect(existsSync(home)).toBe(false);
  });

  test.each([
    ['too short a passphrase', { ROUNDTABLE_PASSPHRASE: 'short' }, [], 'at least 8 characters'],
    ['a name that is none', passphrase, ['--name', 'North 1'], 'lower-case letters'],
    ['a key that is none', passphrase, ['--import'], 'KEY_INVALID'],
  ])('with %s makes nothing', async (_, environment, more, message) => {
    const { code, err } = await type(['runner', 'init', home, ...more], {
      environment,
      input: 'my secret key',
    });
    expect(code).toBe(1);
    expect(err).toContain(message);
    expect(err).not.toContain('my secret');
    expect(existsSync(home)).toBe(false);
  });

  test('takes a key from standard input, and keeps it encrypted', async () => {
    const seen = await type(['runner', 'init', home, '--name', 'north-1', '--import', '--json'], {
      environment: passphrase,
      input: `${key}\n`,
    });
    expect(seen.code).toBe(0);
    const { address, made } = seen.json<{ address: string; made: string[] }>();
    expect(made).toEqual(['keystore.json', 'tls.key', 'sealing.key', 'runner.yaml', 'policy.yaml']);
    expect(address).toBe('0x17c5185167401ed00cf5f5b2fc97d9bbfdb7d025');
    expect(readFileSync(join(home, 'keystore.json'), 'utf8')).not.toContain('4242424242');
    const unlocked = await unlockKey(homePaths(home), () =>
      Promise.resolve(passphrase.ROUNDTABLE_PASSPHRASE),
    );
    expect(unlocked.privateKey).toBe(key);
  });

  test('leaves what the owner has to know marked, and other verbs say what is missing', async () => {
    const { code, err } = await type(['runner', 'status', home]);
    expect(code).toBe(1);
    for (const part of ['member: ', 'chain.chainId: ', 'chain.consortium: ']) expect(err).toContain(part);
    const nowhere = await type(['runner', 'status', join(folder, 'nowhere')]);
    expect(nowhere.err).toContain('`roundtable-runner init` makes one');
  });

  test('refuses a passphrase file that others can read', async () => {
    const file = join(folder, 'passphrase');
    writeFileSync(file, 'correct horse battery');
    chmodSync(file, 0o644);
    const { err } = await type(['runner', 'init', join(folder, 'other'), '--passphrase-file', file]);
    expect(err).toContain('KEY_EXPOSED');
    expect(err).not.toContain('correct horse');
  });
});

const check = (...argv: string[]) => type(['runner', 'policy', 'check', home, ...argv]);

describe('policy check', () => {
  test('of the one that init made: right, and it allows nothing', async () => {
    expect(await check()).toMatchObject({ code: 0, out: expect.stringContaining('every task is refused') });
  });

  test('says whether a job would be allowed, by which rule, or what it lacks', async () => {
    const rules = [
      { coordinators: [coordinator], jobs: ['letters'], data: ['digits'] },
      { coordinators: [coordinator], jobs: ['digits-*'], data: ['digits'], purposes: ['research'] },
    ];
    writeFileSync(join(home, 'policy.yaml'), stringify({ allow: rules }));
    const job = join(folder, 'job.yaml');
    const write = (purpose: string) =>
      writeFileSync(
        job,
        stringify({
          version: 1,
          name: 'digits-1',
          model: 'model.onnx',
          rounds: 1,
          data: { contract: 'digits', input: [1, 28, 28], classes: 10, purpose },
        }),
      );
    const asked = ['--job', job, '--coordinator', coordinator];
    write('research');
    expect(await check(...asked)).toMatchObject({ code: 0, out: expect.stringContaining('by rule 2') });
    write('marketing');
    const refused = await check(...asked, '--json');
    expect(refused.code).toBe(1);
    expect(refused.json()).toMatchObject({
      allowed: false,
      lacks: [expect.stringMatching(/marketing|digits-1/)],
    });
    expect((await check('--job', job)).code).toBe(2);
  });

  test('names every mistake', async () => {
    writeFileSync(
      join(home, 'policy.yaml'),
      stringify({ alow: [], hours: { zone: 'Atlantis', spans: ['8-9'] } }),
    );
    const { code, err } = await check();
    expect(code).toBe(1);
    for (const part of ['alow', 'hours.zone', 'hours.spans.0']) expect(err).toContain(part);
  });
});

describe('log', () => {
  test('shows what was decided, verifies it, and ends with 1 when it was changed', async () => {
    const paths = homePaths(home);
    const unlocked = await unlockKey(paths, () => Promise.resolve(passphrase.ROUNDTABLE_PASSPHRASE));
    const log = await DecisionLog.open(paths, unlocked.key);
    await log.append({ kind: 'started', software: 'test\u001b[2J' });
    expect((await type(['runner', 'log', home])).out).toMatch(/started {3}test \[2J/);
    expect(await type(['runner', 'log', home, '--verify'])).toMatchObject({ code: 0 });
    appendFileSync(paths.decisions, '{"seq":2}\n');
    const { code, out } = await type(['runner', 'log', home, '--verify']);
    expect(code).toBe(1);
    expect(out).toContain('decisions.log, line 2: it is not a record');
  });
});

test('a member signs where its stack is entered, as runners check it', async () => {
  const wallet = Wallet.createRandom();
  const privateKey = generateTlsKey();
  const made = await issueCertificate({ privateKey, name: 'north', seconds: 3_600, purpose: 'gatekeeper' });
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return name;
  };
  const address = `0x${'aa'.repeat(20)}` as const;
  const deployment = deploymentAt(address, 31337);
  const seen = await type(
    [
      'entrance',
      '--gatekeeper',
      'gate.example.org:7233',
      '--certificate',
      write('gatekeeper.crt', made.certificate),
      '--key',
      write('member.key', wallet.privateKey),
      '--sealing',
      write('member.x25519', `0x${'07'.repeat(32)}`),
      '--stage',
      write('stage.json', JSON.stringify({ deployment })),
    ],
    { folder },
  );
  expect(seen.err).toBe('');
  const entrance = stackEntrance.parse(seen.json());
  const stack = wallet.address.toLowerCase() as Hex;
  expect(() => checkEntrance(entrance, { chainId: 31337, consortium: address }, stack)).not.toThrow();
  expect(entrance.statement).toMatchObject({ gatekeeper: 'gate.example.org:7233', namespace: 'default' });
});

describe('a secret that is typed', () => {
  test('is not shown, can be corrected, and leaves the terminal as it was', async () => {
    const { input, ask, shown } = keyboard();
    const typed = ask?.('Passphrase: ');
    for (const piece of ['corec', '\u007f', 't ', 'h', 'orse\r']) input.emit('data', Buffer.from(piece));
    expect(await typed).toBe('coret horse');
    expect(shown()).toBe('Passphrase: \n');
    expect(input.raw).toEqual([true, false]);
    expect(input.listenerCount('data')).toBe(0);
  });

  test('is not asked for where it could not be hidden', () => {
    const { input } = keyboard();
    expect(secretReader(Object.assign(input, { isTTY: false }), { write: () => undefined })).toBeNull();
  });
});

function keyboard() {
  const input = Object.assign(new EventEmitter(), {
    isTTY: true,
    raw: [] as boolean[],
    setRawMode: (raw: boolean) => void input.raw.push(raw),
    resume: () => undefined,
    pause: () => undefined,
  });
  let shown = '';
  const ask = secretReader(input, { write: (text) => void (shown += text) });
  return { input, ask, shown: () => shown };
}

import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import { secretKinds } from '#infra/secrets.js';
import type { Settings } from '#infra/settings.js';
import { type, type Seen } from './person.js';

const folder = mkdtempSync(join(tmpdir(), 'roundtable-secrets-'));
afterAll(() => rmSync(folder, { recursive: true }));
const made = [
  'coordinator-key',
  'coordinator-sealing-key',
  'arweave-key',
  'gatekeeper-certificate',
  'gatekeeper-key',
  'gatekeeper-secrets',
];
const read = (name: string, from = 'keys') => readFileSync(join(folder, from, name), 'utf8');
const secrets = (...argv: string[]) => type(['secrets', '--stage', 'ada', ...argv], { folder });

let first: Seen;
beforeAll(async () => {
  first = await secrets('--out', 'keys');
}, 60_000);

test('what is made is what the dry run wants to find, for its owner alone', async () => {
  expect(first).toMatchObject({ code: 0, err: '' });
  const coordinator = /0x[0-9a-f]{40}/.exec(first.out)?.[0];
  const settings = { coordinator, temporal: { address: 'cloud:7233', namespace: 'n' } } as Settings;
  const values = new Map(made.map((name) => [name, read(name)]));
  for (const kind of secretKinds(settings)) {
    const value = values.get(kind.name);
    if (value === undefined) continue;
    expect([kind.name, kind.examine(value, settings, values)]).not.toEqual([
      kind.name,
      expect.objectContaining({ wrong: expect.anything() }),
    ]);
    expect(statSync(join(folder, 'keys', kind.name)).mode & 0o777).toBe(0o600);
    expect(first.out).toContain(`roundtable/ada/${kind.name} --secret-string file://keys/${kind.name}`);
    if (value.length > 20) expect(first.out).not.toContain(value.trim());
  }
});

test('nothing that is there is made anew, and what is missing is', async () => {
  const before = made.map((name) => read(name));
  rmSync(join(folder, 'keys', 'gatekeeper-secrets'));
  const again = await secrets('--out', 'keys', '--json');
  expect(again.json()).toMatchObject({ made: ['gatekeeper-secrets'] });
  expect(made.slice(0, -1).map((name) => read(name))).toEqual(before.slice(0, -1));
  rmSync(join(folder, 'keys', 'gatekeeper-key'));
  expect(await secrets('--out', 'keys')).toMatchObject({
    code: 1,
    err: expect.stringMatching(
      /CONFLICT: [^]*gatekeeper-certificate alone of\s+gatekeeper-certificate and gatekeeper-key/,
    ),
  });
  expect(read('gatekeeper-certificate')).toBe(before[3]);
});

test('for a rotation one is made alone, a certificate with its key', async () => {
  const renewed = await secrets(
    '--only',
    'gatekeeper-certificate',
    '--out',
    'later',
    '--days',
    '30',
    '--json',
  );
  expect(renewed.json()).toMatchObject({ made: ['gatekeeper-certificate', 'gatekeeper-key'], accounts: {} });
  expect(read('gatekeeper-certificate', 'later')).not.toBe(read('gatekeeper-certificate'));
  const runner = await secrets('--only', 'runner/gpu-1', '--out', 'later', '--json');
  const { address } = new Wallet(read('runner-gpu-1', 'later').trim());
  expect(runner.json()).toMatchObject({ accounts: { 'runner/gpu-1': address.toLowerCase() } });
  expect(await secrets('--only', 'database-authority', '--out', 'later')).toMatchObject({ code: 2 });
});

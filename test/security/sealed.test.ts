import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { seal, unseal } from '#services/sealing.js';
import { generateX25519Key } from '#services/x25519.js';

/** A model that is archived for two members, in the hands of everybody else. */
const [north, harbour, east] = [generateX25519Key(), generateX25519Key(), generateX25519Key()];
const context = 'model 0x01';
const plain = Buffer.from('the parameters of a model that only two members may read');
const envelope = seal(
  plain,
  [
    { id: 'north', publicKey: north.publicKey },
    { id: 'harbour', publicKey: harbour.publicKey },
  ],
  context,
);
const notForYou = expect.objectContaining({ code: 'SEAL_NOT_FOR_YOU' });
const broken = expect.objectContaining({ code: expect.stringMatching(/^SEAL_/) });

describe('a sealed archive in the hands of another member', () => {
  test('is not read with its own key, under its own name or another’s', () => {
    for (const id of ['east', 'north', 'harbour', '', '__proto__', 'constructor'])
      expect(() => unseal(envelope, { id, privateKey: east.privateKey }, context)).toThrow(notForYou);
  });

  test('shows nothing of what is in it', () => {
    expect(Buffer.from(envelope).includes(plain.subarray(0, 8))).toBe(false);
  });

  test('is not passed off as another version', () => {
    expect(() => unseal(envelope, { id: 'north', privateKey: north.privateKey }, 'model 0x02')).toThrow(
      broken,
    );
  });

  test('is not changed in one bit without being noticed', () => {
    for (let at = 0; at < envelope.length; at++) {
      const changed = Uint8Array.from(envelope);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      expect(() => unseal(changed, { id: 'north', privateKey: north.privateKey }, context)).toThrow(broken);
    }
  });

  test('is not opened by a recipient added afterwards', () => {
    const own = seal(plain, [{ id: 'east', publicKey: east.publicKey }], context);
    const [head, slot] = [Buffer.from(envelope.subarray(0, 7)), Buffer.from(own.subarray(7, 7 + 5 + 48))];
    head.writeUInt16LE(3, 5);
    const forged = Buffer.concat([head, slot, envelope.subarray(7)]);
    expect(() => unseal(forged, { id: 'east', privateKey: east.privateKey }, context)).toThrow(broken);
    expect(() => unseal(forged, { id: 'north', privateKey: north.privateKey }, context)).toThrow(broken);
  });
});

test('guessing a MAC byte by byte: whatever checks one compares in constant time', () => {
  const signing = ['cli/trigger/webhook.ts', 'services/awsApi.ts'];
  const folders = [
    'audit',
    'cli',
    'core',
    'functions',
    'gatekeeper',
    'gpu-runner',
    'local',
    'services',
    'workflows',
  ];
  const checking = folders
    .flatMap(filesIn)
    .filter((path) => path.endsWith('.ts') && readFileSync(path, 'utf8').includes('createHmac('))
    .filter((path) => !signing.includes(path));
  expect(checking).toContain('functions/webhook/signature.ts');
  for (const path of checking)
    expect([path, readFileSync(path, 'utf8').includes('timingSafeEqual(')]).toEqual([path, true]);
});

function filesIn(folder: string): string[] {
  if (!statSync(folder, { throwIfNoEntry: false })) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
}

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { toHex } from '#core/hex.js';
import { generateX25519Key } from '#services/x25519.js';
import { addressOf, startChainStack, type ChainStack } from '../services/chainStack.js';
import { type } from './person.js';

const folder = mkdtempSync(join(tmpdir(), 'roundtable-announce-'));
let stack: ChainStack;
beforeAll(async () => {
  stack = await startChainStack();
  const member = addressOf(stack.member);
  await stack.sender(stack.founder).send('member', stack.calls.consortium.addMember(member, 'north', ''));
  writeFileSync(join(folder, 'stage.json'), JSON.stringify({ deployment: stack.deployment }));
  writeFileSync(join(folder, 'member.key'), `${stack.member.privateKey}\n`, { mode: 0o600 });
  writeFileSync(join(folder, 'founder.key'), `${stack.founder.privateKey}\n`, { mode: 0o600 });
}, 60_000);
afterAll(async () => {
  await stack.stop();
  rmSync(folder, { recursive: true });
});

const announce = (key: string, sealing: string) =>
  type(
    [
      'announce-key',
      '--json',
      '--key',
      key,
      '--sealing',
      sealing,
      '--stage',
      'stage.json',
      '--rpc',
      stack.anvil.url,
    ],
    { folder },
  );

test('a member announces its sealing key, another one after it, and can go back', async () => {
  const member = addressOf(stack.member);
  const keys = [generateX25519Key(), generateX25519Key()];
  for (const [index, { privateKey }] of keys.entries())
    writeFileSync(join(folder, `${index}.x25519`), `${toHex(privateKey)}\n`, { mode: 0o600 });
  for (const index of [0, 1, 0]) {
    const { code, out, err, json } = await announce('member.key', `${index}.x25519`);
    const publicKey = toHex(keys[index]?.publicKey ?? new Uint8Array());
    expect([code, err]).toEqual([0, '']);
    expect(json()).toEqual({ member, publicKey, transaction: expect.stringMatching(/^0x[0-9a-f]{64}$/) });
    expect(await stack.chain.sealingKey(member)).toBe(publicKey);
    expect(out).not.toContain(toHex(keys[index]?.privateKey ?? new Uint8Array()).slice(2));
  }
  expect((await announce('member.key', '0.x25519')).json()).toMatchObject({ transaction: null });
});

test('nobody else does, and a file that holds no key is named without its content', async () => {
  const stranger = await announce('founder.key', '0.x25519');
  expect(stranger).toMatchObject({ code: 1, err: expect.stringContaining('no member of the consortium') });
  writeFileSync(join(folder, 'wrong'), 'not a key at all');
  const wrong = await announce('member.key', 'wrong');
  expect(wrong.err).toContain('does not hold a sealing key');
  expect(wrong.err).not.toContain('not a key at all');
});

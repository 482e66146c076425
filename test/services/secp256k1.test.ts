import { expect, test } from '@jest/globals';
import { SigningKey } from 'ethers';
import * as fc from 'fast-check';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import { addressOf, isPrivateKey, recoverAccount, signDigest } from '#services/secp256k1.js';

const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const privateKey = bytes32.filter(isPrivateKey);
const word = (value: bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`;
const isKey = (value: bigint): boolean => isPrivateKey(fromHex(word(value), 32));
const key = new Uint8Array(32).fill(7);
const digest = word(99n);

test('signs to the byte what ethers signs, and recovers its signer', () => {
  fc.assert(
    fc.property(privateKey, bytes32, (secret, message) => {
      const signed = signDigest(secret, toHex(message));
      const ethers = new SigningKey(toHex(secret));
      expect(signed).toBe(ethers.sign(message).serialized);
      expect(recoverAccount(toHex(message), signed)).toBe(addressOf(secret));
    }),
    { numRuns: 100 },
  );
});

test('an account is the one that the chain has for the key', () => {
  // The first account of anvil and Hardhat, whose key everybody knows.
  const known = fromHex('0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80', 32);
  expect(addressOf(known)).toBe('0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266');
});

test('zero, the order and what is above it are no private keys', () => {
  expect([0n, order, order + 1n, 2n ** 256n - 1n].map(isKey)).toEqual([false, false, false, false]);
  expect([1n, order - 1n].map(isKey)).toEqual([true, true]);
  expect(() => signDigest(new Uint8Array(32), digest)).toThrow('no private key');
});

test('no other way to write a signature counts', () => {
  const signed = signDigest(key, digest);
  const r = signed.slice(2, 66);
  const s = BigInt(`0x${signed.slice(66, 130)}`);
  const last = signed.slice(130);
  const other = last === '1b' ? '1c' : '1b';
  const high = word(order - s).slice(2);
  const forms = {
    'a high s': `0x${r}${high}${other}`,
    'last bytes 0 and 1': `${signed.slice(0, -2)}0${Number(last === '1c')}`,
    'last bytes of EIP-155': `${signed.slice(0, -2)}25`,
    'capital letters': `0x${signed.slice(2).toUpperCase()}`,
    'no 0x': signed.slice(2),
    'one byte more': `${signed}00`,
    'one byte less': signed.slice(0, -2),
    'EIP-2098': `0x${r}${signed.slice(66, 130)}`,
    'zero as r': `0x${word(0n).slice(2)}${signed.slice(66)}`,
    'zero as s': `0x${r}${word(0n).slice(2)}${last}`,
    'the order as r': `0x${word(order).slice(2)}${signed.slice(66)}`,
    'r above the order': `0x${word(2n ** 256n - 1n).slice(2)}${signed.slice(66)}`,
    'the order as s': `0x${r}${word(order).slice(2)}${last}`,
    nothing: '0x',
  };
  for (const [name, form] of Object.entries(forms))
    expect([name, recoverAccount(digest, form)]).toEqual([name, null]);
  expect(recoverAccount(digest, signed)).toBe(addressOf(key));
  expect(recoverAccount(digest, `${signed.slice(0, -2)}${other}`)).not.toBe(addressOf(key));
});

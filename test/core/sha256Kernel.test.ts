import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { Hash } from '#core/hex.js';
import { LEAF, valuesTree } from '#core/merkle.js';
import { sha256Kernel } from '#core/sha256Kernel.js';

const plain: Hash = (bytes) => createHash('sha256').update(bytes).digest();
const batched: Hash = Object.assign((bytes: Uint8Array) => plain(bytes), { each: kernel().each });

function kernel() {
  const compiled = sha256Kernel();
  if (!compiled) throw new Error('This engine has no WebAssembly SIMD.');
  return compiled;
}

function scrambled(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Math.imul(i + seed, 0x9e3779b1) >>> 24);
}

function separately(type: number, messages: Uint8Array, size: number): Buffer {
  return Buffer.concat(
    Array.from({ length: messages.length / size }, (_, i) =>
      plain(Buffer.concat([Buffer.of(type), messages.subarray(size * i, size * (i + 1))])),
    ),
  );
}

test('Every message of a batch has the hash that it has alone', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 255 }),
      fc.integer({ min: 1, max: 9 }).map((blocks) => 64 * blocks),
      fc.integer({ min: 0, max: 40 }),
      fc.integer(),
      (type, size, count, seed) => {
        const messages = scrambled(count * size, seed);
        expect(Buffer.from(kernel().each(type, messages, size))).toEqual(separately(type, messages, size));
      },
    ),
    { numRuns: 60 },
  );
});

test('More messages than the kernel has room for are hashed in parts, from any offset', () => {
  const messages = scrambled(64 * 1_501 + 1, 1).subarray(1);
  expect(Buffer.from(kernel().each(0x10, messages, 64))).toEqual(separately(0x10, messages, 64));
});

test('A tree is the same with and without batches', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 70_000 }), fc.integer(), (length, seed) => {
      const values = Int32Array.from({ length }, (_, i) => Math.imul(i + seed, 0x9e3779b1));
      const sums = Float64Array.from(values, (value) => value * 2 ** 20 + 3);
      for (const [type, vector] of [
        [LEAF.update, values],
        [LEAF.sum, sums],
      ] as const) {
        const one = valuesTree(plain, type, vector);
        const many = valuesTree(batched, type, vector);
        const leaf = Math.floor(one.count / 2);
        expect(Buffer.from(many.root)).toEqual(Buffer.from(one.root));
        expect(many.proof(leaf).map(String)).toEqual(one.proof(leaf).map(String));
      }
    }),
    { numRuns: 12 },
  );
});

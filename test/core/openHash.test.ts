import { describe, expect, test } from '@jest/globals';
import { toHex, type Hex } from '#core/hex.js';
import { verifyProof } from '#core/merkle.js';
import {
  openHash,
  openHashAt,
  selectionLeaf,
  selectionPlaces,
  selectionTree,
  type Opening,
} from '#core/openHash.js';
import { trainingSeed } from '#core/seed.js';
import { sha256 } from '#services/sha256.js';

const id = (byte: string, bytes: number): Hex => `0x${byte.repeat(bytes)}`;
const opening: Opening = {
  job: id('11', 32),
  round: 1,
  baseVersion: id('22', 32),
  specHash: id('33', 32),
  shift: 0,
  selection: ['0a', '1b', '2c'].map((byte) => ({ runner: id(byte, 20), maxSamples: 2_000 })),
};

describe('openHash', () => {
  test('changes with everything a round commits to', () => {
    const [first, ...rest] = opening.selection;
    const changed: Partial<Opening>[] = [
      {},
      { job: id('12', 32) },
      { round: 2 },
      { baseVersion: id('21', 32) },
      { specHash: id('34', 32) },
      { shift: 1 },
      { selection: rest },
      { selection: [{ runner: first?.runner ?? id('00', 20), maxSamples: 2_001 }, ...rest] },
      { selection: [...opening.selection, { runner: id('ff', 20), maxSamples: 1 }] },
    ];
    expect(new Set(changed.map((change) => openHash(sha256, { ...opening, ...change }))).size).toBe(
      changed.length,
    );
  });

  test('a place in the selection can be proved', () => {
    const tree = selectionTree(sha256, opening.selection);
    opening.selection.forEach((selected, index) => {
      const leaf = selectionLeaf(sha256, index, selected);
      expect(verifyProof(sha256, tree.root, leaf, index, 3, tree.proof(index))).toBe(true);
      const larger = selectionLeaf(sha256, index, { ...selected, maxSamples: 9_999 });
      expect(verifyProof(sha256, tree.root, larger, index, 3, tree.proof(index))).toBe(false);
    });
  });

  test('one runner recomputes it from its own entry and place, and only from those', () => {
    const { selection, ...fields } = opening;
    const places = selectionPlaces(sha256, selection, 1, 3);
    expect(places.map(({ index }) => index)).toEqual([1, 2]);
    const [own, other] = selection.slice(1);
    const [place] = places;
    if (!own || !other || !place) throw new Error('three were selected');
    expect(openHashAt(sha256, fields, own, place)).toBe(openHash(sha256, opening));
    for (const [entry, wrong] of [
      [{ ...own, maxSamples: 9_999 }, place],
      [other, place],
      [own, { ...place, index: 0 }],
      [own, { ...place, count: 4 }],
    ] as const)
      expect(openHashAt(sha256, fields, entry, wrong)).not.toBe(openHash(sha256, opening));
    expect(() => openHashAt(sha256, fields, own, { ...place, count: 5 })).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  test('a selection that is not strictly ascending, or empty, is refused', () => {
    for (const selection of [
      opening.selection.toReversed(),
      [...opening.selection, ...opening.selection.slice(2)],
      [],
    ])
      expect(() => openHash(sha256, { ...opening, selection })).toThrow(
        expect.objectContaining({ code: 'INVALID_INPUT' }),
      );
  });
});

test('every runner has its own seed in every round of every job', () => {
  const of = { job: opening.job, round: 1, runner: id('0a', 20) };
  const seeds = [of, { ...of, job: id('13', 32) }, { ...of, round: 2 }, { ...of, runner: id('0b', 20) }].map(
    (each) => toHex(trainingSeed(sha256, each)),
  );
  expect(new Set(seeds).size).toBe(4);
  expect(toHex(trainingSeed(sha256, of))).toBe(seeds[0]);
});

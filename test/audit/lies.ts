/** Every kind of lie that can be shown about a round of a history, and what shows it. */
import { id, Wallet } from 'ethers';
import type { Hex } from '#core/hex.js';
import type { RobustRule } from '#core/robustRule.js';
import { lies, stranger } from './court.js';
import type { Falsification } from './falsification.js';

export interface Lie {
  falsify: Falsification;
  /** In place of the weighted sum. */
  robust?: RobustRule;
  /** Judges' functions, the first time that somebody looks. */
  calls: string[];
  what: RegExp;
}

/** Each is convicted in the transaction that shows it. */
export const shown: Record<string, Lie> = {
  'one parameter that is off by one': {
    falsify: { params: (params) => void (params[17] = (params[17] ?? 0) - 1) },
    calls: ['wrongStep'],
    what: /parameter 17 of round 2 is/,
  },
  'one parameter that is not the step by a trimmed mean': {
    falsify: { params: (params) => void (params[41] = (params[41] ?? 0) + 1) },
    robust: { rule: 'trimmed-mean', percent: 34 },
    calls: ['wrongStep'],
    what: /parameter 41 of round 2 is/,
  },
  'a weight that is not that of the samples': {
    falsify: { headers: (headers) => headers.map((h, i) => (i === 1 ? { ...h, weight: h.weight + 1 } : h)) },
    calls: ['unfitRunner'],
    what: /contradicts itself/,
  },
  'samples beyond those that were declared': {
    falsify: {
      headers: (headers) => headers.map((h, i) => (i === 1 ? { ...h, samples: 61, weight: 61 } : h)),
    },
    calls: ['overclaimed'],
    what: /more samples than it had declared/,
  },
  'a runner that is there twice': {
    falsify: { headers: ([a, b, c]) => [a, b, b, c].flatMap((h, index) => (h ? [{ ...h, index }] : [])) },
    calls: ['unordered'],
    what: /out of order or there twice/,
  },
  'a runner that was not selected': {
    falsify: { opening: ({ selection }) => void selection.splice(1, 1) },
    calls: ['unselected'],
    what: /was not selected/,
  },
  'a runner nobody knows': {
    falsify: {
      headers: (headers) =>
        Promise.all(
          headers.map(async (h, i) =>
            i === 2
              ? {
                  ...h,
                  runner: `0x${'ff'.repeat(20)}` as Hex,
                  signature: await lies(new Wallet(id('nobody'))),
                }
              : h,
          ),
        ),
    },
    calls: ['unfitRunner'],
    what: /had no stake/,
  },
  'a round that builds on another version than the last': {
    falsify: { opening: (opening) => void (opening.baseVersion = id('elsewhere') as Hex) },
    calls: ['wrongOpening'],
    what: /another job, round, spec or base/,
  },
  'weights beyond what can be added exactly': {
    falsify: {
      opening: ({ selection }) => selection.forEach((line) => (line.maxSamples = 2 ** 22)),
      headers: (headers) => headers.map((h) => ({ ...h, samples: 2 ** 21 + 5, weight: 2 ** 21 + 5 })),
    },
    calls: ['malformed'],
    what: /beyond 2\^22/,
  },
};

/** Each is asked about, and convicted by silence. */
export const asked: Record<string, Lie> = {
  'one wrong sum, from which everything else follows': {
    falsify: { sum: (sum) => void (sum[30] = (sum[30] ?? 0) + 1e6) },
    calls: ['askChunk'],
    what: /the sum of node 0 of level 0/,
  },
  'one wrong value of a median': {
    falsify: { sum: (sum) => void (sum[30] = (sum[30] ?? 0) + 1) },
    robust: { rule: 'median' },
    calls: ['askChunk'],
    what: /the median of node 0 of level 0/,
  },
  'a signature that is of another key': {
    falsify: {
      headers: (headers, sign) =>
        Promise.all(
          headers.map(async (h, i) =>
            i === 1 ? { ...h, signature: await sign(h.runner, { ...h, round: 2, by: stranger }) } : h,
          ),
        ),
    },
    calls: ['askLeaf'],
    what: /signature of runner .* does not hold/,
  },
  'a manifest that does not lead to the root header': {
    falsify: { manifest: (manifest) => void (manifest.rootHeader = id('nothing') as Hex) },
    calls: ['askRoot', 'askOpening'],
    what: /is not to be had, or does not lead to its root header/,
  },
  'an opening in the manifest that is not the one on chain': {
    falsify: { manifest: (manifest) => void (manifest.opening.shift += 1) },
    calls: ['askOpening'],
    what: /the opening in its manifest is not the one on chain/,
  },
  'a version whose parts nobody is shown': {
    falsify: { manifest: (manifest) => void (manifest.version.graph = id('another graph') as Hex) },
    calls: ['askStep'],
    what: /nobody can see what its version consists of/,
  },
};

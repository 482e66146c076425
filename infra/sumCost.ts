import { shardsFor } from '#core/shards.js';
import { functions } from './functions.js';
import { prices } from './prices.js';

/** A round whose updates functions add. */
export interface LargeSum {
  parameters: number;
  runners: number;
}

export interface SumCost {
  /** Functions that add a range each. */
  functions: number;
  /** That one of them runs, and all of them together. */
  secondsOfOne: number;
  gigabyteSeconds: number;
  dollars: { compute: number; requests: number; store: number; total: number };
}

/** The worker's defaults (workflows/environment.ts): up to so many values it adds by itself, a function so many. */
export const sumRules = { most: 2 ** 25, each: 2 ** 24 };

/** One sum in functions, whether or not it is large enough to need them; from list prices and the assumptions below. */
export function sumCost({ parameters, runners }: LargeSum): SumCost {
  const shards = Math.max(1, shardsFor(parameters, { ...sumRules, most: sumRules.each }));
  const values = parameters / shards;
  const read = 4 * values * runners;
  const secondsOfOne =
    startSeconds + (read + 8 * values) / bytesPerSecond + (values * runners) / valuesPerSecond;
  const gigabyteSeconds = shards * secondsOfOne * (functions.sum.memory / 1024);
  const gets = shards * (1 + runners * Math.ceil((4 * values) / bytesOfOneGet));
  const puts = 2 * shards;
  const dollars = {
    compute: gigabyteSeconds * prices.lambdaArmGigabyteSecond,
    requests: shards * prices.lambdaRequest,
    // Plans, parts, and a second GET of each part by the worker.
    store: (gets + shards) * prices.s3Get + puts * prices.s3Put,
  };
  return {
    functions: shards,
    secondsOfOne,
    gigabyteSeconds,
    dollars: { ...dollars, total: dollars.compute + dollars.requests + dollars.store },
  };
}

/** Assumptions; docs/costs.md names them. */
const startSeconds = 1;
/** From S3 into a function of one core. */
const bytesPerSecond = 75e6;
/** Decrypted, hashed and added, of one core: `npm run bench -- shards`. */
const valuesPerSecond = 40e6;
const bytesOfOneGet = 8 * 1024 * 1024;

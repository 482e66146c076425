import { shardsFor } from '#core/shards.js';
import { functions } from './functions.js';
import { prices } from './prices.js';

/**
 * How fast a function is taken to be. None of it was measured on AWS: docs/costs.md says where each figure comes from and
 * has the table that follows from them, and a test compares.
 */
export const sumSpeed = {
  /** From the call to the first byte. */
  startSeconds: 1,
  /** From S3 into one function. */
  bytesPerSecond: 75e6,
  /** Decrypted, hashed under its proof and added, by one vCPU: `valuesPerSecond` of `npm run bench -- shards`. */
  valuesPerVcpuSecond: 20e6,
  /** MB of memory with which Lambda gives a function one vCPU; more or less memory gives more or less of one. */
  megabytesOfOneVcpu: 1769,
};

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
  const { startSeconds, bytesPerSecond, valuesPerVcpuSecond, megabytesOfOneVcpu } = sumSpeed;
  const vcpus = functions.sum.memory / megabytesOfOneVcpu;
  const secondsOfOne =
    startSeconds + (read + 8 * values) / bytesPerSecond + (values * runners) / (vcpus * valuesPerVcpuSecond);
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

const bytesOfOneGet = 8 * 1024 * 1024;

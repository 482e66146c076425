import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Rules } from '#contracts/deploy.js';
import { address, parseMessage } from '#core/schema.js';
import { parseYaml } from '#services/yamlFile.js';

const units = z
  .string()
  .regex(/^\d{1,30}$/, "an amount in the token's smallest units, digits in quotes")
  .transform(BigInt);
const hours = z
  .number()
  .positive()
  .max(24 * 365);

/** consortium.yaml: what members agree on before there is a consortium. Its contracts keep it for ever. */
const rulesFile = z.strictObject({
  /** The ERC-20 that stakes, budgets and bonds are paid in; `new` deploys one whose tokens are all the founder's. */
  token: z.union([z.literal('new'), address]),
  /** Smallest stake of a runner. */
  minStake: units,
  /** From a runner's exit to its stake's return. */
  unbondingHours: hours,
  /** In which a closed round, and then an epoch of rewards, can be disputed. */
  windowHours: hours,
  /** After which another member may take over a job that does not move. */
  patienceHours: hours,
  /** What a payer stands to lose when it publishes an epoch. */
  payerBond: units,
  /** Wei of the chain's coin that a question costs whoever asked in vain. */
  questionBond: units,
});

const seconds = (given: number): number => Math.round(given * 3_600);

/** @throws INVALID_INPUT with every mistake */
export function readRules(path: string): Rules {
  const { token, unbondingHours, windowHours, patienceHours, ...amounts } = parseMessage(
    rulesFile,
    parseYaml(readFileSync(path, 'utf8'), path),
    path,
  );
  return {
    ...amounts,
    ...(token !== 'new' && { token }),
    unbondingSeconds: seconds(unbondingHours),
    windowSeconds: seconds(windowHours),
    patienceSeconds: seconds(patienceHours),
  };
}

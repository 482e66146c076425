/**
 * The chain's record as a file, so that an audit can be repeated with no network. It proves nothing by itself: the
 * words of storage in it stand on the word of whoever took it, and everything else is checked against them.
 */
import { z } from 'zod';
import { deployment } from '#contracts/deployment.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { address, amount, archiveId, count, hash32, jobId, versionIdSchema } from '#core/schema.js';
import type { AuditChain } from './sources.js';

const units = amount.transform(BigInt);
const anchor = { block: count, transaction: hash32 };
const fraction = z.strictObject({ numerator: count, denominator: count });

const creation = z.strictObject({
  job: jobId,
  coordinator: address,
  specHash: hash32,
  parentVersion: versionIdSchema.nullable(),
  genesisVersion: versionIdSchema,
  manifestHash: hash32,
  archiveId,
  rounds: count,
  budget: units,
  terms: z.strictObject({
    dimension: count,
    rule: count,
    rate: fraction,
    momentum: fraction,
    attesters: count,
    sampleCap: count,
  }),
  latest: count,
  phase: z.enum(['idle', 'open', 'convicted', 'finished']),
  ...anchor,
});

const closing = z.strictObject({
  job: jobId,
  round: count,
  rootHeader: hash32,
  paramsRoot: hash32,
  versionId: versionIdSchema,
  manifestHash: hash32,
  archiveId,
  ...anchor,
});

const round = z.strictObject({
  round: count,
  openHash: hash32,
  coordinator: address,
  closing: closing.nullable(),
  ...anchor,
});

const words = z.strictObject({ opening: hash32.nullable(), closing: hash32.nullable() });

const epoch = z.strictObject({
  payer: address,
  epoch: count,
  root: hash32,
  leaves: count,
  total: units,
  manifestHash: hash32,
  effectiveAt: count,
  ...anchor,
});

const claim = z.strictObject({ payer: address, account: address, epoch: count, amount: units, ...anchor });

/** What contracts and events say of some jobs and of those who pay for them. */
export const savedChain = z.strictObject({
  format: z.literal(1),
  deployment,
  /** When it was taken, up to which block, and which nodes were asked. */
  taken: z.strictObject({ at: z.iso.datetime(), block: count, from: z.array(z.string()) }),
  jobs: z.array(
    z.strictObject({
      creation,
      rounds: z.array(round),
      voidRounds: z.array(round),
      /** Storage, by number of the round; 0 is the creation. */
      words: z.array(words),
      finalRound: count,
    }),
  ),
  payers: z.array(
    z.strictObject({
      payer: address,
      epochs: z.array(epoch),
      claims: z.array(claim),
      claimed: z.array(z.strictObject({ account: address, amount: units })),
    }),
  ),
});
export type SavedChain = z.output<typeof savedChain>;

/** Notes which jobs and payers are asked about; `take` then reads all that the chain has of them. */
export function recordChain(chain: AuditChain): {
  chain: AuditChain;
  take(taken: SavedChain['taken']): Promise<SavedChain>;
} {
  const jobs = new Set<Hex>();
  const payers = new Set<Hex>();
  return {
    chain: {
      ...chain,
      job: noting(jobs, chain.job),
      rounds: noting(jobs, chain.rounds),
      epochs: noting(payers, chain.epochs),
    },
    take: async (taken) => ({
      format: 1,
      deployment: chain.deployment,
      taken,
      jobs: (await Promise.all([...jobs].map((job) => readJob(chain, job)))).filter(
        (entry) => entry !== null,
      ),
      payers: await Promise.all([...payers].map((payer) => readPayer(chain, payer))),
    }),
  };
}

/** Answers from a record. @throws UNAVAILABLE for what it does not hold */
export function openSavedChain(saved: SavedChain): AuditChain {
  const jobOf = (id: Hex) => find(saved.jobs, ({ creation: { job } }) => job === id, `job ${id}`);
  const payerOf = (id: Hex) => find(saved.payers, ({ payer }) => payer === id, `payer ${id}`);
  const closings = saved.jobs
    .flatMap(({ rounds, voidRounds }) => [...rounds, ...voidRounds])
    .flatMap((entry) => entry.closing ?? [])
    .sort((a, b) => a.block - b.block);
  const created = saved.jobs.map((entry) => entry.creation).sort((a, b) => a.block - b.block);
  return {
    deployment: saved.deployment,
    job: async (id) => (await jobOf(id)).creation,
    jobs: async () => created.map(({ job }) => job),
    jobsFrom: async (version) =>
      created.flatMap(({ job, genesisVersion }) => (genesisVersion === version ? [job] : [])),
    rounds: async (id) => [...(await jobOf(id)).rounds],
    voidRounds: async (id) => [...(await jobOf(id)).voidRounds],
    closings: async () => closings,
    closedVersions: async (version) => {
      const found = closings.filter(({ versionId }) => versionId === version);
      if (found.length === 0)
        await find(created, (job) => job.genesisVersion === version, `version ${version}`);
      return found;
    },
    commitments: async (id, number) => (await jobOf(id)).words[number] ?? { opening: null, closing: null },
    finalRound: async (id) => (await jobOf(id)).finalRound,
    epochs: async (id) => [...(await payerOf(id)).epochs],
    claims: async (id) => (await payerOf(id)).claims,
    claimed: async (id, account) =>
      (await payerOf(id)).claimed.find((entry) => entry.account === account)?.amount ?? 0n,
  };
}

/** A read that adds what it is asked about. */
function noting<Rest extends unknown[], T>(
  seen: Set<Hex>,
  read: (name: Hex, ...rest: Rest) => Promise<T>,
): (name: Hex, ...rest: Rest) => Promise<T> {
  return (name, ...rest) => {
    seen.add(name);
    return read(name, ...rest);
  };
}

async function readJob(chain: AuditChain, id: Hex): Promise<SavedChain['jobs'][number] | null> {
  const creation = await chain.job(id);
  if (!creation) return null;
  const [rounds, voidRounds, finalRound] = await Promise.all([
    chain.rounds(id),
    chain.voidRounds(id),
    chain.finalRound(id),
  ]);
  const numbers = [0, ...rounds.map((entry) => entry.round)];
  const words = await Promise.all(numbers.map((number) => chain.commitments(id, number)));
  return { creation, rounds, voidRounds, words, finalRound };
}

async function readPayer(chain: AuditChain, payer: Hex): Promise<SavedChain['payers'][number]> {
  const [epochs, claims] = await Promise.all([chain.epochs(payer), chain.claims(payer)]);
  const accounts = [...new Set(claims.map(({ account }) => account))];
  const claimed = accounts.map(async (account) => ({ account, amount: await chain.claimed(payer, account) }));
  return { payer, epochs, claims, claimed: await Promise.all(claimed) };
}

async function find<T>(list: readonly T[], is: (entry: T) => boolean, what: string): Promise<T> {
  const found = list.find(is);
  if (found) return found;
  throw new RoundtableError(
    'UNAVAILABLE',
    `The saved record of the chain has no ${what}. Take it anew with \`model verify … --save\`, or ask a node.`,
  );
}

import { keccak256, toUtf8Bytes, Wallet } from 'ethers';
import { updateDomain, updateTypes } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import { addressOf } from '#test/services/chainStack.js';

/** So many runners, ascending by address. */
export function runnersOf(count: number): Wallet[] {
  return Array.from(
    { length: count },
    (_, n) => new Wallet(keccak256(toUtf8Bytes(`audit runner ${n + 1}`))),
  ).sort((a, b) => (a.address.toLowerCase() < b.address.toLowerCase() ? -1 : 1));
}

/** The runners of a history. */
export const runnerWallets = runnersOf(3);
const allRunners = runnersOf(20);

type Statement = {
  round: number;
  updateRoot: Hex;
  samples: number;
  job?: Hex;
  chainId?: number;
  jobs?: Hex;
  by?: Wallet;
};
export type Sign = (runner: Hex, statement: Statement) => Promise<Hex>;

export function signUpdate(
  runner: Hex,
  fixed: { job: Hex; domain: { chainId: number; jobs: Hex }; openHash: Hex; dimension: number },
  { round, updateRoot, samples: count, job, chainId, jobs, by }: Statement,
): Promise<Hex> {
  const wallet = by ?? allRunners.find((candidate) => addressOf(candidate) === runner);
  if (!wallet) throw new Error(`no key of ${runner}`);
  const value = {
    job: job ?? fixed.job,
    round,
    openHash: fixed.openHash,
    updateRoot,
    dimension: fixed.dimension,
    samples: count,
    steps: 10,
  };
  return wallet.signTypedData(
    updateDomain(chainId ?? fixed.domain.chainId, jobs ?? fixed.domain.jobs),
    updateTypes,
    value,
  ) as Promise<Hex>;
}

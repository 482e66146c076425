/** A published epoch with its lines, from its manifest. A liar's need not be in order, so nothing is refused here. */
import { fromHex, toHex, type Hash, type Hex } from '#core/hex.js';
import type { EpochManifest } from '#core/manifest.js';
import { MerkleTree } from '#core/merkle.js';
import { deltaRootInOrder, rewardLeafHash, type RewardLeaf } from '#core/rewards.js';
import type { ChainEpoch } from '#services/chain.js';
import { Wrong } from './checklist.js';
import { findEpochManifest } from './settlement.js';
import type { AuditSources } from './sources.js';

/** What an account earned in one round, as contracts take it. */
export interface Delta {
  job: Hex;
  round: bigint;
  amount: bigint;
}

/** A round, and who was paid how much for it. */
export interface PaidRound {
  job: Hex;
  round: number;
  shares: { runner: Hex; amount: string }[];
}

/** Says what is missing where it cannot be opened. */
export async function openEpoch(sources: AuditSources, onChain: ChainEpoch): Promise<OpenEpoch | string> {
  try {
    const { hashed } = await findEpochManifest(sources, onChain);
    const epoch = new OpenEpoch(sources.hash, linesOf(hashed.accounts), hashed.rounds);
    if (epoch.leaves.length === onChain.leaves && toHex(epoch.tree.root) === onChain.root) return epoch;
    return `epoch ${onChain.epoch}: its manifest does not lead to its root`;
  } catch (error) {
    if (error instanceof Wrong) return `epoch ${onChain.epoch}: ${error.message}`;
    throw error;
  }
}

/** The lines that a manifest's accounts make: each begins where those before it end. */
export function linesOf(accounts: EpochManifest['hashed']['accounts']): RewardLeaf[] {
  let totalPrefix = 0n;
  return accounts.map((written, index) => {
    const [cumulative, previous] = [BigInt(written.cumulative), BigInt(written.previous)];
    const deltaRoot = fromHex(written.deltaRoot, 32);
    const line = { index, account: written.account, cumulative, previous, totalPrefix, deltaRoot };
    totalPrefix += cumulative;
    return line;
  });
}

/** Lines and rounds as a manifest or answers on chain say them. */
export class OpenEpoch {
  readonly tree: MerkleTree;
  readonly #places: ReadonlyMap<Hex, number>;
  readonly #deltas: Map<Hex, Delta[] | null>;

  /** @param shown what lines commit to, by account, where it is known without the rounds */
  constructor(
    private readonly hash: Hash,
    readonly leaves: readonly RewardLeaf[],
    readonly rounds: readonly PaidRound[],
    shown: ReadonlyMap<Hex, Delta[]> = new Map(),
  ) {
    this.#deltas = new Map(shown);
    this.#places = new Map(leaves.map(({ account }, index) => [account, index]));
    this.tree = new MerkleTree(
      hash,
      leaves.map((leaf) => rewardLeafHash(hash, leaf)),
    );
  }

  /** -1 for an account that it has no line for. */
  indexOf(account: Hex): number {
    return this.#places.get(account) ?? -1;
  }

  /** A line with its proof, as contracts take it. */
  line(index: number) {
    const leaf = this.leaves[index];
    if (!leaf) throw new RangeError(`The epoch has no line ${index}.`);
    return {
      leaf: { ...leaf, index: BigInt(index), deltaRoot: toHex(leaf.deltaRoot) },
      proof: this.tree.proof(index).map(toHex),
    };
  }

  /** Lines between which an account would stand. */
  beside(account: Hex): ReturnType<OpenEpoch['line']>[] {
    const above = this.leaves.findIndex((leaf) => leaf.account > account);
    if (above < 0) return [this.line(this.leaves.length - 1)];
    return above === 0 ? [this.line(0)] : [this.line(above - 1), this.line(above)];
  }

  /** What an account's line commits to; null where the manifest's rounds do not lead to it. */
  deltas({ account, deltaRoot }: RewardLeaf): Delta[] | null {
    const known = this.#deltas.get(account);
    if (known !== undefined) return known;
    const written = this.rounds.flatMap(({ job, round, shares }) =>
      shares.flatMap(({ runner, amount }) =>
        runner === account ? [{ job, round: BigInt(round), amount: BigInt(amount) }] : [],
      ),
    );
    const sorted = [...written].sort((a, b) =>
      a.job === b.job ? Number(a.round - b.round) : a.job < b.job ? -1 : 1,
    );
    const found = [sorted, written].find((deltas) => this.#rootOf(deltas) === toHex(deltaRoot)) ?? null;
    this.#deltas.set(account, found);
    return found;
  }

  #rootOf(deltas: readonly Delta[]): Hex {
    const plain = deltas.map(({ round, ...delta }) => ({ ...delta, round: Number(round) }));
    return toHex(deltaRootInOrder(this.hash, plain));
  }
}

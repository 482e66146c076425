import { id } from './keccak.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import type { ProvenRewardLeaf } from '#core/rewards.js';
import { addressOf, addressWord, join, word, words, type Log, type Rpc } from './rpc.js';

/** The events, views and calls that the page knows; test/web compares them with the ABIs that were compiled. */
export const signatures = {
  JobCreated:
    'JobCreated(bytes32,address,bytes32,(bytes32,address,bytes32,bytes32,bytes32,bytes32,bytes32,uint32,uint256,(uint64,uint8,uint32,uint32,uint32,uint32,uint8,uint48)))',
  RoundOpened: 'RoundOpened(bytes32,uint32,bytes32)',
  RoundClosed: 'RoundClosed(bytes32,uint32,bytes32,bytes32,bytes32,bytes32,bytes32)',
  EpochPublished: 'EpochPublished(address,uint32,bytes32,uint32,uint128,bytes32,uint256)',
  openings: 'openings(bytes32,uint32)',
  closings: 'closings(bytes32,uint32)',
  jobs: 'jobs(bytes32)',
  epochInEffect: 'epochInEffect(address)',
  claimed: 'claimed(address,address)',
  claim: 'claim(address,uint32,(uint32,address,uint128,uint128,uint128,bytes32),bytes32[])',
  Claimed: 'Claimed(address,address,uint32,uint256)',
  RunnerRegistered: 'RunnerRegistered(address,address,uint256)',
  RunnerLeft: 'RunnerLeft(address,address)',
  RunnerSlashed: 'RunnerSlashed(address,address,uint256)',
  StakeWithdrawn: 'StakeWithdrawn(address,uint256)',
} as const;

export interface Contracts {
  chainId: number;
  consortium: Hex;
  jobs: Hex;
  rewards: Hex;
  block: number;
}

export interface CreatedJob {
  job: Hex;
  coordinator: Hex;
  genesisVersion: Hex;
  specHash: Hex;
  parentVersion: Hex;
  manifestHash: Hex;
  archive: string;
  rounds: number;
  budget: bigint;
  block: number;
  /** All of them as the contract hashes them. */
  fields: Hex;
}

export interface ClosedRound {
  job: Hex;
  round: number;
  versionId: Hex;
  rootHeader: Hex;
  paramsRoot: Hex;
  manifestHash: Hex;
  archive: string;
  block: number;
  transaction: Hex;
}

export interface PublishedEpoch {
  epoch: number;
  root: Hex;
  leaves: number;
  total: bigint;
  manifestHash: Hex;
  effectiveAt: number;
  transaction: Hex;
}

export interface Payment {
  payer: Hex;
  epoch: number;
  /** In the token's smallest unit, as decimal text. */
  amount: string;
  transaction: Hex;
}

export interface Stake {
  runner: Hex;
  /** In the token's smallest unit, as decimal text; it stays until it is withdrawn or taken. */
  stake: string;
  left: boolean;
}

const stakeEvents = ['RunnerRegistered', 'RunnerLeft', 'RunnerSlashed', 'StakeWithdrawn'] as const;

/** What the contracts say, asked of one node. */
export class ChainView {
  constructor(
    readonly rpc: Rpc,
    readonly contracts: Contracts,
  ) {}

  async closedVersion(version: Hex): Promise<ClosedRound | null> {
    const log = (await this.#logs(this.contracts.jobs, 'RoundClosed', [null, null, version])).at(-1);
    return log ? closedRound(log) : null;
  }

  async createdJob(by: { job: Hex } | { genesisVersion: Hex }): Promise<CreatedJob | null> {
    const topics = 'job' in by ? [by.job, null, null] : [null, null, by.genesisVersion];
    const [log] = await this.#logs(this.contracts.jobs, 'JobCreated', topics);
    return log ? createdJob(log) : null;
  }

  /** The newest opening of a round; a conviction or a take-over gives its number anew. */
  async opened(job: Hex, round: number): Promise<{ openHash: Hex; block: number; transaction: Hex } | null> {
    const log = (await this.#logs(this.contracts.jobs, 'RoundOpened', [job, word(round)])).at(-1);
    return log
      ? { openHash: log.data, block: Number(log.blockNumber), transaction: log.transactionHash }
      : null;
  }

  /** Every closing, of one job if named, void ones too, in the order of the chain. */
  async closedRounds(job: Hex | null = null): Promise<ClosedRound[]> {
    return (await this.#logs(this.contracts.jobs, 'RoundClosed', [job])).map(closedRound);
  }

  /** Rounds from the first version of the lineage to the version that a job starts from. */
  async baseNumber(job: CreatedJob): Promise<number> {
    let number = 0;
    for (let at: CreatedJob | null = job; at && at.parentVersion !== ZERO_HASH;) {
      const parent: Hex = at.parentVersion;
      const closed = await this.closedVersion(parent);
      number += closed?.round ?? 0;
      at = await this.createdJob(closed ? { job: closed.job } : { genesisVersion: parent });
    }
    return number;
  }

  /** Every job, in the order of the chain. */
  async createdJobs(): Promise<CreatedJob[]> {
    return (await this.#logs(this.contracts.jobs, 'JobCreated', [])).map(createdJob);
  }

  /** Number of a job's newest opened round. What has a higher one was closed by somebody convicted, and is void. */
  async latestRound(job: Hex): Promise<number> {
    const [, latest] = await this.rpc.call(this.contracts.jobs, join(selector('jobs'), job));
    return Number(latest ?? 0);
  }

  /** What storage holds of a round; a node that invents events would have to invent this as well. */
  async commitments(job: Hex, round: number): Promise<{ opening: Hex; closing: Hex }> {
    const [opening, closing] = await Promise.all([
      this.#view(this.contracts.jobs, 'openings', job, word(round)),
      this.#view(this.contracts.jobs, 'closings', job, word(round)),
    ]);
    return { opening, closing };
  }

  async epochs(payer: Hex): Promise<PublishedEpoch[]> {
    const logs = await this.#logs(this.contracts.rewards, 'EpochPublished', [addressWord(payer)]);
    return logs.map(({ topics, data, transactionHash }) => {
      const [root = ZERO_HASH, leaves = '0x0', total = '0x0', manifestHash = ZERO_HASH, effectiveAt = '0x0'] =
        words(data);
      return {
        epoch: Number(topics[2] ?? 0),
        root,
        leaves: Number(leaves),
        total: BigInt(total),
        manifestHash,
        effectiveAt: Number(effectiveAt),
        transaction: transactionHash,
      };
    });
  }

  async epochInEffect(payer: Hex): Promise<number> {
    return Number(await this.#view(this.contracts.rewards, 'epochInEffect', addressWord(payer)));
  }

  /** What each account was paid by one payer: one question, however many accounts. */
  async paidBy(payer: Hex): Promise<Map<Hex, bigint>> {
    const paid = new Map<Hex, bigint>();
    for (const { topics, data } of await this.#logs(this.contracts.rewards, 'Claimed', [
      addressWord(payer),
    ])) {
      const account = addressOf(topics[2] ?? ZERO_HASH);
      paid.set(account, (paid.get(account) ?? 0n) + BigInt(data));
    }
    return paid;
  }

  /** What an account was paid, by whomever, oldest first. */
  async payments(account: Hex): Promise<Payment[]> {
    const logs = await this.#logs(this.contracts.rewards, 'Claimed', [null, addressWord(account)]);
    return logs.map(({ topics, data, transactionHash }) => ({
      payer: addressOf(topics[1] ?? ZERO_HASH),
      epoch: Number(topics[3] ?? 0),
      amount: String(BigInt(data)),
      transaction: transactionHash,
    }));
  }

  /** What every runner has at stake, from the events that change it: one question, however many runners. */
  async stakes(): Promise<Stake[]> {
    const topics = [stakeEvents.map((name) => id(signatures[name]))];
    const logs = await this.rpc.logs({
      address: this.contracts.consortium,
      fromBlock: this.contracts.block,
      topics,
    });
    const stakes = new Map<Hex, Stake>();
    for (const { topics, data } of logs) {
      const runner = addressOf(topics[1] ?? ZERO_HASH);
      const before = stakes.get(runner) ?? { runner, stake: '0', left: false };
      const name = stakeEvents.find((event) => id(signatures[event]) === topics[0]);
      if (name === 'RunnerRegistered') stakes.set(runner, { ...before, stake: String(BigInt(data)) });
      else if (name === 'RunnerLeft') stakes.set(runner, { ...before, left: true });
      else stakes.set(runner, { ...before, stake: '0', left: true });
    }
    return [...stakes.values()];
  }

  #logs(address: Hex, name: keyof typeof signatures, indexed: (Hex | null)[]): Promise<Log[]> {
    return this.rpc.logs({
      address,
      fromBlock: this.contracts.block,
      topics: [id(signatures[name]), ...indexed],
    });
  }

  async #view(to: Hex, name: keyof typeof signatures, ...inputs: Hex[]): Promise<Hex> {
    return (await this.rpc.call(to, join(selector(name), ...inputs)))[0] ?? ZERO_HASH;
  }
}

/** Call data of a claim: its arguments are one word each, but for the proof, whose place stands in the ninth. */
export function claimCall(payer: Hex, epoch: number, leaf: ProvenRewardLeaf): Hex {
  const { index, account, cumulative, previous, totalPrefix, deltaRoot, proof } = leaf;
  return join(
    selector('claim'),
    addressWord(payer),
    word(epoch),
    word(index),
    addressWord(account),
    word(cumulative),
    word(previous),
    word(totalPrefix),
    toHex(deltaRoot),
    word(9 * 32),
    word(proof.length),
    ...proof.map((sibling) => toHex(sibling)),
  );
}

export const claimedCall = (payer: Hex, account: Hex): Hex =>
  join(selector('claimed'), addressWord(payer), addressWord(account));

const selector = (name: keyof typeof signatures): Hex => `0x${id(signatures[name]).slice(2, 10)}`;

/** An Arweave id is 32 bytes in base64url. */
export function archiveIdOf(bytes32: Hex): string {
  const binary = String.fromCharCode(
    ...(bytes32.slice(2).match(/../g) ?? []).map((pair) => parseInt(pair, 16)),
  );
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function createdJob({ topics, data, blockNumber }: Log): CreatedJob {
  const [, , specHash, parentVersion, , manifestHash, archive, rounds, budget] = words(data);
  return {
    job: topics[1] ?? ZERO_HASH,
    coordinator: addressOf(topics[2] ?? ZERO_HASH),
    genesisVersion: topics[3] ?? ZERO_HASH,
    specHash: specHash ?? ZERO_HASH,
    parentVersion: parentVersion ?? ZERO_HASH,
    manifestHash: manifestHash ?? ZERO_HASH,
    archive: archiveIdOf(archive ?? ZERO_HASH),
    rounds: Number(rounds ?? 0),
    budget: BigInt(budget ?? 0),
    block: Number(blockNumber),
    fields: data,
  };
}

function closedRound({ topics, data, blockNumber, transactionHash }: Log): ClosedRound {
  const [rootHeader, paramsRoot, manifestHash, archive] = words(data);
  return {
    job: topics[1] ?? ZERO_HASH,
    round: Number(topics[2] ?? 0),
    versionId: topics[3] ?? ZERO_HASH,
    rootHeader: rootHeader ?? ZERO_HASH,
    paramsRoot: paramsRoot ?? ZERO_HASH,
    manifestHash: manifestHash ?? ZERO_HASH,
    archive: archiveIdOf(archive ?? ZERO_HASH),
    block: Number(blockNumber),
    transaction: transactionHash,
  };
}

import type { JsonRpcProvider } from 'ethers';
import type { Address, Deployment } from '#contracts/deployment.js';
import { consortiumAbi } from '#contracts/generated/Consortium.js';
import { typedContract } from '#contracts/typed.js';
import { ZERO_HASH, type Hex, type RunnerId, type Sha256Hex } from '#core/hex.js';
import { lowerCase } from './lowerCase.js';
import { logReader, type Confirmed } from './logs.js';

export interface ChainMember {
  member: Address;
  name: string;
  url: string;
}

/** stake in token units, 0 once withdrawn; times in seconds since 1970, leftAt null while it takes part. */
export interface ChainRunner {
  runner: RunnerId;
  member: Address;
  stake: bigint;
  registeredAt: number;
  leftAt: number | null;
}

/** What a runner published of itself. */
export interface ServedData {
  /** SHA-256 of its TLS public key; null if it stated none. */
  keyFingerprint: Sha256Hex | null;
  /** Names of the data contracts. */
  data: string[];
}

export interface ConsortiumReads {
  isMember(account: Address): Promise<boolean>;
  /** Whether it is the founder's, which admits members by itself until the first vote has passed. */
  mayAdmit(account: Address): Promise<boolean>;
  members(at?: Confirmed): Promise<ChainMember[]>;
  /** null: never registered. */
  runner(runner: RunnerId): Promise<ChainRunner | null>;
  /** All that ever registered, with what is known of them now. */
  runners(at?: Confirmed): Promise<ChainRunner[]>;
  /** X25519 public key for which its models and updates are sealed; null when it has announced none. */
  sealingKey(member: Address): Promise<Hex | null>;
  /** Smallest stake that a runner may register with, token units. */
  minStake(): Promise<bigint>;
  /** Seconds between a runner's exit and its stake's return. */
  unbondingSeconds(): Promise<number>;
  /** The last that a runner published; null: nothing yet. */
  serving(runner: RunnerId): Promise<ServedData | null>;
  /** Of the stakes. */
  token(): Promise<Address>;
}

export function consortiumReads(
  provider: JsonRpcProvider,
  deployment: Pick<Deployment, 'consortium' | 'block'>,
): ConsortiumReads {
  const consortium = typedContract(consortiumAbi, deployment.consortium, provider);
  const logs = logReader(provider, deployment);

  const runner = async (id: RunnerId): Promise<ChainRunner | null> => {
    const [member, stake, registeredAt, leftAt] = await consortium.read.runners(id);
    if (registeredAt === 0n) return null;
    return {
      runner: lowerCase(id),
      member: lowerCase(member),
      stake,
      registeredAt: Number(registeredAt),
      leftAt: leftAt === 0n ? null : Number(leftAt),
    };
  };
  return {
    isMember: (account) => consortium.read.isMember(account),
    mayAdmit: async (account) =>
      lowerCase(await consortium.read.founder()) === account && !(await consortium.read.voted()),
    members: async (at) => {
      const added = await logs(consortium, 'MemberAdded', {}, at);
      const changed = await logs(consortium, 'MemberChanged', {}, at);
      const members = new Map<Address, ChainMember>();
      for (const { args } of [...added, ...changed])
        members.set(args.member, { member: lowerCase(args.member), name: args.name, url: args.url });
      const found = [...members.values()];
      const still = await Promise.all(found.map(({ member }) => consortium.read.isMember(member)));
      return found.filter((_, i) => still[i]);
    },
    runner,
    runners: async (at) => {
      const registered = await logs(consortium, 'RunnerRegistered', {}, at);
      const found = await Promise.all(registered.map(({ args }) => runner(args.runner)));
      return found.filter((entry) => entry !== null);
    },
    sealingKey: async (member) => {
      const key = await consortium.read.sealingKeys(member);
      return BigInt(key) === 0n ? null : key;
    },
    minStake: () => consortium.read.minStake(),
    unbondingSeconds: async () => Number(await consortium.read.unbondingSeconds()),
    serving: async (runner) => {
      const last = (await logs(consortium, 'RunnerServes', { runner }, undefined)).at(-1);
      if (!last) return null;
      const { tlsFingerprint, data } = last.args;
      const keyFingerprint = tlsFingerprint === ZERO_HASH ? null : tlsFingerprint;
      return { keyFingerprint, data: [...data] };
    },
    token: async () => lowerCase(await consortium.read.token()),
  };
}

/** Who is paid what, and the tree from which an account proves it (PROTOCOL section 10). Amounts in the smallest unit. */
import { ByteWriter, compareBytes } from './bytes.js';
import { RoundtableError } from './errors.js';
import { fromHex, toHex, type Hash, type Hex, type JobId } from './hex.js';
import { LEAF, MerkleTree } from './merkle.js';

/**
 * reward_i = floor(B*U_{i+1}/U_n) - floor(B*U_i/U_n) with prefix sums U: the rewards add up to the budget, and one
 * can be checked from two prefix sums. All zero when nobody contributed.
 * @param units contribution units in commitment order
 * @throws INVALID_INPUT for negative numbers
 */
export function apportion(budget: bigint, units: readonly bigint[]): bigint[] {
  refuseNegative(budget, ...units);
  const total = units.reduce((sum, unit) => sum + unit, 0n);
  let prefix = 0n;
  let before = 0n;
  return units.map((unit) => {
    prefix += unit;
    const upTo = total === 0n ? 0n : (budget * prefix) / total;
    const reward = upTo - before;
    before = upTo;
    return reward;
  });
}

/**
 * A job's budget over its rounds by the same rule with equal units: floor(B*r/n) - floor(B*(r-1)/n).
 * @param round from 1 to `rounds`
 * @throws INVALID_INPUT
 */
export function roundBudget(total: bigint, rounds: number, round: number): bigint {
  refuseNegative(total);
  if (!Number.isSafeInteger(rounds) || !Number.isInteger(round) || round < 1 || round > rounds)
    throw new RoundtableError('INVALID_INPUT', `A job of ${rounds} rounds has no round ${round}.`);
  return (total * BigInt(round)) / BigInt(rounds) - (total * BigInt(round - 1)) / BigInt(rounds);
}

/** What an account earned in one round. */
export interface RewardDelta {
  job: JobId;
  round: number;
  amount: bigint;
}

/** An account's line in an epoch: all it ever earned from this payer, before and now, and what made the difference. */
export interface AccountRewards {
  account: Hex;
  cumulative: bigint;
  previous: bigint;
  deltas: readonly RewardDelta[];
}

export interface RewardLeaf {
  index: number;
  account: Hex;
  cumulative: bigint;
  previous: bigint;
  /** Sum of the cumulatives of all leaves before this one. */
  totalPrefix: bigint;
  /** Root of the tree of deltas; 32 zero bytes when the epoch brought the account nothing. */
  deltaRoot: Uint8Array;
}

export interface ProvenRewardLeaf extends RewardLeaf {
  /** Siblings from the leaf upwards: what a claim shows the contract. */
  proof: Uint8Array[];
}

/**
 * Every account's line in an epoch: its cumulative sum in the epoch before, and what this one's rounds add.
 * @param before accounts of the manifest before, none for the first epoch
 */
export function accountsOf(
  before: readonly { account: Hex; cumulative: string }[],
  rounds: readonly { job: JobId; round: number; shares: readonly { runner: Hex; amount: string }[] }[],
): AccountRewards[] {
  const accounts = new Map<Hex, AccountRewards & { deltas: RewardDelta[] }>();
  for (const { account, cumulative } of before) {
    const sum = BigInt(cumulative);
    accounts.set(account, { account, cumulative: sum, previous: sum, deltas: [] });
  }
  for (const { job, round, shares } of rounds)
    for (const { runner, amount } of shares) {
      const line = accounts.get(runner) ?? { account: runner, cumulative: 0n, previous: 0n, deltas: [] };
      const delta = { job, round, amount: BigInt(amount) };
      // An epoch may pay an account for thousands of rounds.
      line.deltas.push(delta);
      accounts.set(runner, { ...line, cumulative: line.cumulative + delta.amount });
    }
  return [...accounts.values()];
}

/**
 * The tree of an epoch, one leaf an account, ascending by address.
 * @throws INVALID_INPUT for no accounts, an account or a (job, round) of one twice, or
 * cumulative ≠ previous + sum of deltas
 */
export function epochTree(
  hash: Hash,
  epoch: { accounts: readonly AccountRewards[] },
): { root: Uint8Array; leaves: ProvenRewardLeaf[] } {
  const accounts = epoch.accounts
    .map((rewards) => ({ ...rewards, key: fromHex(rewards.account, 20) }))
    .sort((a, b) => compareBytes(a.key, b.key));
  let totalPrefix = 0n;
  const leaves = accounts.map(({ key, cumulative, previous, deltas }, index): RewardLeaf => {
    const account = toHex(key);
    const before = accounts[index - 1];
    if (before && compareBytes(before.key, key) === 0)
      throw new RoundtableError('INVALID_INPUT', `Account ${account} occurs twice in an epoch.`);
    const earned = deltas.reduce((sum, { amount }) => sum + amount, 0n);
    if (cumulative !== previous + earned)
      throw new RoundtableError(
        'INVALID_INPUT',
        `Account ${account} had ${previous}, earned ${earned}, and cannot have ${cumulative}.`,
      );
    const leaf = { index, account, cumulative, previous, totalPrefix, deltaRoot: deltaRoot(hash, deltas) };
    totalPrefix += cumulative;
    return leaf;
  });
  const tree = new MerkleTree(
    hash,
    leaves.map((leaf) => rewardLeafHash(hash, leaf)),
  );
  return { root: tree.root, leaves: leaves.map((leaf) => ({ ...leaf, proof: tree.proof(leaf.index) })) };
}

/** H(0x05 ‖ index u32 ‖ account 20 ‖ cumulative u128 ‖ previous u128 ‖ totalPrefix u128 ‖ deltaRoot 32). */
export function rewardLeafHash(hash: Hash, leaf: RewardLeaf): Uint8Array {
  return hash(
    new ByteWriter(105)
      .u8(LEAF.reward)
      .u32(leaf.index)
      .bytes(fromHex(leaf.account), 20)
      .u128(leaf.cumulative)
      .u128(leaf.previous)
      .u128(leaf.totalPrefix)
      .bytes(leaf.deltaRoot, 32)
      .finish(),
  );
}

/** Tree over H(0x09 ‖ job 32 ‖ round u32 ‖ amount u128), ascending by job and round; 32 zero bytes for none. */
function deltaRoot(hash: Hash, deltas: readonly RewardDelta[]): Uint8Array {
  if (deltas.length === 0) return new Uint8Array(32);
  const sorted = deltas
    .map((delta) => ({ ...delta, key: fromHex(delta.job, 32) }))
    .sort((a, b) => compareBytes(a.key, b.key) || a.round - b.round);
  sorted.forEach(({ key, round }, i) => {
    const before = sorted[i - 1];
    if (before && before.round === round && compareBytes(before.key, key) === 0)
      throw new RoundtableError(
        'INVALID_INPUT',
        `Round ${round} of job ${toHex(key)} pays an account twice.`,
      );
  });
  return deltaRootInOrder(hash, sorted);
}

/** The same over deltas as they stand, in whatever order a liar has committed to them. */
export function deltaRootInOrder(hash: Hash, deltas: readonly RewardDelta[]): Uint8Array {
  return deltas.length === 0 ? new Uint8Array(32) : deltaTree(hash, deltas).root;
}

/** At least one delta, as they stand. */
export function deltaTree(hash: Hash, deltas: readonly RewardDelta[]): MerkleTree {
  const leaves = deltas.map(({ job, round, amount }) =>
    hash(new ByteWriter(53).u8(LEAF.delta).bytes(fromHex(job), 32).u32(round).u128(amount).finish()),
  );
  return new MerkleTree(hash, leaves);
}

function refuseNegative(...amounts: readonly bigint[]): void {
  for (const amount of amounts)
    if (amount < 0n)
      throw new RoundtableError('INVALID_INPUT', `Budgets and units are not negative; got ${amount}.`);
}

import { canonicalBytes } from '#core/canonicalJson.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import { manifestHash, type EpochManifest } from '#core/manifest.js';
import { epochTree } from '#core/rewards.js';
import { sha256 } from '#services/sha256.js';
import { addressOf, type ChainStack } from '#test/services/chainStack.js';
import type { HistoryArchive } from './memoryArchive.js';
import { runnerWallets } from './signing.js';

/** Publishes the payer's first epoch; later histories on the same chain stay unpaid. */
export async function publishEpoch(
  stack: ChainStack,
  facts: {
    name: string;
    payer: Hex;
    archive: HistoryArchive;
    archived: Record<string, string>;
    domain: EpochManifest['hashed']['domain'];
    paid: EpochManifest['hashed']['rounds'];
    falsify: ((manifest: EpochManifest['hashed']) => void) | undefined;
    epoch: number;
  },
): Promise<void> {
  const { payer, archive, paid, epoch } = facts;
  if (epoch !== 1) return;
  // Budgets reach the purse when the rounds can no longer be disputed.
  await stack.anvil.provider.send('evm_increaseTime', [60]);
  await stack.anvil.provider.send('evm_mine', []);
  const last = new Map(paid.map(({ job, round }) => [job, round]));
  for (const [job, round] of last)
    await stack
      .sender(stack.member)
      .send(`${facts.name} release ${job}`, stack.calls.jobs.release(job, round));
  const accounts = runnerWallets.map((wallet) => {
    const deltas = paid.flatMap(({ job, round, shares }) =>
      shares.flatMap(({ runner, amount }) =>
        runner === addressOf(wallet) ? [{ job, round, amount: BigInt(amount) }] : [],
      ),
    );
    return {
      account: addressOf(wallet),
      cumulative: deltas.reduce((sum, { amount }) => sum + amount, 0n),
      previous: 0n,
      deltas,
    };
  });
  const tree = epochTree(sha256, { accounts });
  const manifest: EpochManifest = {
    hashed: {
      kind: 'epoch',
      protocol: 1,
      payer,
      domain: facts.domain,
      epoch,
      previousManifest: ZERO_HASH,
      root: toHex(tree.root),
      total: String(tree.leaves.reduce((sum, { cumulative }) => sum + cumulative, 0n)),
      rounds: paid,
      accounts: tree.leaves.map(({ account, cumulative, previous, deltaRoot }) => ({
        account,
        cumulative: String(cumulative),
        previous: String(previous),
        deltaRoot: toHex(deltaRoot),
      })),
    },
    measured: {},
  };
  facts.falsify?.(manifest.hashed);
  const hash = manifestHash(sha256, manifest);
  facts.archived['epoch'] = await archive.put(canonicalBytes(manifest), {
    'App-Name': 'Roundtable',
    Kind: 'epoch',
    'Manifest-Hash': hash,
  });
  const { root, total, accounts: leaves } = manifest.hashed;
  await stack
    .sender(stack.member)
    .send(
      `${facts.name} epoch`,
      stack.calls.rewards.publish(epoch, root, leaves.length, BigInt(total), hash),
    );
}

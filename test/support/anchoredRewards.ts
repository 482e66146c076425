import { id } from 'ethers';
import { hashJson } from '#core/canonicalJson.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import type { EpochManifest } from '#core/manifest.js';
import type { CreditMessage } from '#core/messages.js';
import { epochTree } from '#core/rewards.js';
import type { EpochView, RunnerView } from '#core/views.js';
import { sha256 } from '#services/sha256.js';
import { archiveIdOf, signatures } from '#web/verify/contracts.js';
import { addressOf, exampleRunner, hashOf } from '../services/views.js';
import type { Site } from './site.js';

/**
 * Gives a site a node and a gateway that know so many epochs of so many accounts, one round an epoch, and an API that
 * lists them: everything that a recomputation of rewards reads, consistent, with nothing of it on a real chain.
 * @param effectiveAt since when they can be claimed, ms since 1970
 */
export function anchorRewards(
  site: Site,
  size: { epochs: number; accounts: number },
  effectiveAt = Date.now() - 60_000,
): void {
  const accounts = Array.from({ length: size.accounts }, (_, i) => addressOf(`account ${i}`));
  const rounds = accounts.map((runner, i) => ({ runner, units: '1', amount: String(shareOf(i)) }));
  const round = { hashed: { kind: 'round', rewards: { shares: rounds } } };
  const roundHash = hashJson(sha256, round.hashed);
  const epochs: Published[] = [];
  for (let epoch = 1; epoch <= size.epochs; epoch++) {
    const tree = epochTree(sha256, {
      accounts: accounts.map((account, i) => ({
        account,
        cumulative: shareOf(i) * BigInt(epoch),
        previous: shareOf(i) * BigInt(epoch - 1),
        deltas: [{ job, round: epoch, amount: shareOf(i) }],
      })),
    });
    const total = accounts.reduce((sum, _, i) => sum + shareOf(i) * BigInt(epoch), 0n);
    const before = epochs.at(-1)?.manifestHash ?? ZERO_HASH;
    const published = { epoch, root: toHex(tree.root), total, before, manifestHash: ZERO_HASH };
    epochs.push({ ...published, manifestHash: hashJson(sha256, manifestOf(published).hashed) });
  }

  /** Made when it is asked for: all of them together would not fit into memory. */
  function manifestOf({ epoch, root, total, before }: Published): EpochManifest {
    const sums = accounts.map((account, i) => ({
      account,
      cumulative: String(shareOf(i) * BigInt(epoch)),
      previous: String(shareOf(i) * BigInt(epoch - 1)),
      deltaRoot: ZERO_HASH,
    }));
    return {
      hashed: {
        kind: 'epoch',
        protocol: 1,
        payer,
        domain: { chainId: 31_337, jobs: payer },
        epoch,
        previousManifest: before,
        root,
        total: String(total),
        rounds: [
          { job, round: epoch, manifestHash: roundHash, manifest: archiveIdOf(word(epoch)), shares: rounds },
        ],
        accounts: sums.toSorted((a, b) => (a.account < b.account ? -1 : 1)),
      },
      measured: {},
    } as EpochManifest;
  }

  serve(site, epochs, { accounts: size.accounts, roundHash, manifestOf, round, effectiveAt });
  site.says = {
    ...site.says,
    epochs: epochs.map((published) => viewOf(published, size.accounts)),
    runners: accounts.map((runner, i): RunnerView => exampleRunner({ runner, name: `site-${i + 1}` })),
    credits: accounts.map((runner, i): CreditMessage => ({
      type: 'credit',
      payer,
      job,
      round: 1,
      runner,
      units: '1',
      amount: String(shareOf(i) * BigInt(size.epochs)),
      manifestHash: roundHash,
    })),
  };
}

interface Published {
  epoch: number;
  root: Hex;
  total: bigint;
  before: Hex;
  manifestHash: Hex;
}

/** As test/support/site.ts has it. */
const payer: Hex = `0x${'00'.repeat(20)}`;
const job = hashOf('rewarded job');
const shareOf = (account: number): bigint => BigInt(account + 1) * 10n ** 15n;
const word = (value: number | bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`;
const words = (...values: Hex[]): Hex => `0x${values.map((value) => value.slice(2)).join('')}`;
const transactionOf = (epoch: number): Hex => hashOf(`epoch ${epoch}`);

function viewOf({ epoch, root, total, manifestHash }: Published, leaves: number): EpochView {
  return {
    seq: 3,
    updatedAt: new Date().toISOString(),
    payer,
    epoch,
    state: 'effective',
    root,
    total: String(total),
    leaves,
    manifestHash,
    archive: 'e'.repeat(43),
    file: hashOf('file'),
    transaction: { purpose: 'publish', hash: transactionOf(epoch), gas: 50_000, block: epoch },
  };
}

const log = (topics: Hex[], data: Hex, block: number) => ({
  topics,
  data,
  blockNumber: word(block),
  transactionHash: transactionOf(block),
});

function serve(
  site: Site,
  epochs: readonly Published[],
  known: {
    accounts: number;
    roundHash: Hex;
    manifestOf: (published: Published) => object;
    round: object;
    effectiveAt: number;
  },
): void {
  const { accounts, roundHash, manifestOf, round } = known;
  const effectiveAt = word(Math.floor(known.effectiveAt / 1_000));
  const logs: Record<string, object[]> = {
    [id(signatures.EpochPublished)]: epochs.map(({ epoch, root, total, manifestHash }) =>
      log(
        [id(signatures.EpochPublished) as Hex, word(0), word(epoch)],
        words(root, word(accounts), word(total), manifestHash, effectiveAt),
        epoch,
      ),
    ),
    [id(signatures.RoundClosed)]: epochs.map(({ epoch }) =>
      log(
        [id(signatures.RoundClosed) as Hex, job, word(epoch), ZERO_HASH],
        words(ZERO_HASH, ZERO_HASH, roundHash, word(epoch)),
        epoch,
      ),
    ),
  };
  const answers: Record<string, (params: unknown[]) => unknown> = {
    eth_chainId: () => '0x7a69',
    eth_getLogs: ([filter]) => logs[(filter as { topics: string[] }).topics[0] ?? ''] ?? [],
    // The second word of `jobs(bytes32)` is the newest round.
    eth_call: () => words(word(0), word(epochs.length), word(0), word(0)),
    eth_getTransactionReceipt: ([hash]) => {
      const found = epochs.find(({ epoch }) => transactionOf(epoch) === hash);
      return found ? { gasUsed: word(50_000), blockNumber: word(found.epoch) } : null;
    },
  };
  site.routes.post('/rpc', async (context) => {
    const {
      id: number,
      method,
      params,
    } = (await context.req.json()) as {
      id: number;
      method: string;
      params: unknown[];
    };
    return context.json({ jsonrpc: '2.0', id: number, result: answers[method]?.(params) ?? null });
  });
  const byHash = new Map(epochs.map((published) => [published.manifestHash as string, published]));
  site.routes.post('/gateway/graphql', async (context) => {
    const { variables } = (await context.req.json()) as {
      variables: { tags: { name: string; values: string[] }[] };
    };
    const hash = variables.tags.find(({ name }) => name === 'Manifest-Hash')?.values[0] ?? '';
    const edges = byHash.has(hash) ? [{ node: { id: hash } }] : [];
    return context.json({ data: { transactions: { edges } } });
  });
  site.routes.get('/gateway/:id', (context) => {
    const published = byHash.get(context.req.param('id'));
    return context.json(published ? manifestOf(published) : round);
  });
}

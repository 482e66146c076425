/** Whoever watches, before runners that sealed and did not show it: what is demanded, opened, and lost. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { SealDemands, type SealView } from '#audit/sealDemands.js';
import { sealJudgeAbi } from '#contracts/generated/SealJudge.js';
import { typedContract } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import type { RoundManifest } from '#core/manifest.js';
import { addressOf, registerRunner, type ChainStack } from '#test/services/chainStack.js';
import { listSignedBy, saltOf, sealedBy } from '#test/support/seals.js';
import { passWindow, sourcesOf, startCourt, stranger } from './court.js';
import { writeHistory, type History } from './history.js';
import { runnersOf, runnerWallets } from './signing.js';

let stack: ChainStack;
const [first, , third] = runnerWallets;
const fourth = runnersOf(4).find(({ address }) => runnerWallets.every((one) => one.address !== address));
if (!first || !third || !fourth) throw new Error('no runners');
const sealedRoot = `0x${'77'.repeat(32)}` as const;

beforeAll(async () => {
  stack = await startCourt();
  await registerRunner(stack, fourth);
  // A chain's first history is paid, which takes it beyond its window.
  await writeHistory(stack, 'paid');
}, 60_000);
afterAll(() => stack.stop());

const judge = () => typedContract(sealJudgeAbi, stack.deployment.judges.seals, stack.chain.provider);
const stakeOf = async (wallet: { address: string }) =>
  (await stack.chain.runner(wallet.address.toLowerCase() as Hex))?.stake ?? 0n;

/** A watcher that is started anew for every look. */
async function look(history: History): Promise<SealView[]> {
  const seen: SealView[] = [];
  const demands = new SealDemands(sourcesOf(stack, history), stack.sender(stranger));
  await demands.look((view) => seen.push(view));
  return seen.filter(({ job }) => job === history.job);
}

type Round = RoundManifest['hashed'];
const relist = (round: Round, list: NonNullable<Round['seals']>['list']): void => {
  const ascending = list.toSorted((a, b) => (a.runner < b.runner ? -1 : 1));
  round.seals = { list: ascending, signature: listSignedBy(stack.member, round, ascending) };
};

test('nothing is demanded where everybody showed what it had sealed', async () => {
  expect(await look(await writeHistory(stack, 'shown', {}, { sealFirst: true }))).toEqual([]);
});

test('a runner that sealed, vanished and stays silent loses its stake, once', async () => {
  const history = await writeHistory(
    stack,
    'vanished',
    {
      opening: ({ selection }) => {
        selection.push({ runner: addressOf(fourth), maxSamples: 30 });
        selection.sort((a, b) => (a.runner < b.runner ? -1 : 1));
      },
      manifest: (round) => {
        relist(round, [...(round.seals?.list ?? []), sealedBy(fourth, round, sealedRoot)]);
        round.missing = [
          { runner: addressOf(fourth), code: 'late', reason: 'sealed an update, and then: nothing' },
        ];
      },
    },
    { sealFirst: true },
  );
  expect(await look(history)).toMatchObject([{ round: 2, runner: addressOf(fourth), outcome: 'demanded' }]);
  expect(await look(history)).toEqual([]);
  expect(await stakeOf(fourth)).toBeGreaterThan(0n);
  const tokens = await stack.chain.balance(addressOf(stranger));
  await passWindow(stack);
  expect(await look(history)).toMatchObject([{ round: 2, runner: addressOf(fourth), outcome: 'slashed' }]);
  expect(await stakeOf(fourth)).toBe(0n);
  expect(await stack.chain.balance(addressOf(stranger))).toBeGreaterThan(tokens);
  expect(await look(history)).toEqual([]);
});

test('a runner that signed another update than it opens on chain is convicted by the two', async () => {
  const history = await writeHistory(
    stack,
    'broken',
    {
      manifest: (round) => {
        const others = (round.seals?.list ?? []).filter(({ runner }) => runner !== addressOf(third));
        relist(round, [...others, sealedBy(third, round, sealedRoot)]);
      },
    },
    { sealFirst: true },
  );
  expect(await look(history)).toMatchObject([{ runner: addressOf(third), outcome: 'demanded' }]);
  const { job, openHash } = history.worked[1]?.opening ?? {};
  if (!job || !openHash) throw new Error('no opening');
  const place = { domain: stack.deployment, opening: { job, round: 2, openHash } };
  const { seal } = sealedBy(third, place, sealedRoot);
  const sealed = { job, round: 2n, openHash, seal };
  const open = judge().call.open(addressOf(third), sealed, sealedRoot, saltOf(third, 2));
  await stack.sender(third).send('broken/open', open);
  expect(await stakeOf(third)).toBeGreaterThan(0n);
  expect(await look(history)).toMatchObject([{ runner: addressOf(third), outcome: 'broken' }]);
  expect(await stakeOf(third)).toBe(0n);
});

test('a runner that opens what it had sealed keeps its stake, and the asker has paid for it', async () => {
  const history = await writeHistory(
    stack,
    'opened',
    { manifest: ({ headers: [header] }) => void delete header?.salt },
    { sealFirst: true },
  );
  expect(await look(history)).toMatchObject([{ runner: addressOf(first), outcome: 'demanded' }]);
  const worked = history.worked[1];
  const root = worked?.headers[0]?.updateRoot;
  if (!worked || !root) throw new Error('no round');
  const { job, openHash } = worked.opening;
  const { seal } = sealedBy(first, { domain: stack.deployment, opening: worked.opening }, root);
  const sealed = { job, round: 2n, openHash, seal };
  await stack
    .sender(first)
    .send('opened/open', judge().call.open(addressOf(first), sealed, root, saltOf(first, 2)));
  await passWindow(stack);
  expect(await look(history)).toEqual([]);
  expect(await stakeOf(first)).toBeGreaterThan(0n);
});

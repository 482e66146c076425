import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { id, Wallet } from 'ethers';
import { receiptSigner } from '#audit/receipts.js';
import { deploymentAt } from '#contracts/deployment.js';
import type { Hex } from '#core/hex.js';
import type { RoundOpening, TrainUpdate } from '#core/messages.js';
import type { Table } from '#services/table.js';
import { signReceipts } from '#workflows/activities/receipts.js';
import { addressOf } from '#test/services/chainStack.js';
import { startTable, type Stores } from '#test/services/realParts.js';
import { receiptSigning } from '#test/support/receipts.js';
import { hash, runnerAddress } from './fakes.js';

const wallet = new Wallet(id('coordinator'));
const deployment = deploymentAt(`0x${'d'.repeat(40)}`, 31337);
let stores: Stores;
let table: Table;

beforeAll(async () => {
  ({ stores, table } = await startTable());
}, 60_000);
afterAll(() => stores?.stop());

const parts = () => ({
  table,
  signReceipt: receiptSigning(deployment, wallet),
});

test('every update of a round gets a receipt that the contract takes, also of sixty', async () => {
  const opening = openingOf('many', 60);
  await signReceipts(parts(), { opening, updates: updatesOf(60) });
  const kept = await table.listReceipts(opening.job, 1);
  expect(kept.map(({ runner }) => runner)).toEqual(opening.selection.map(({ runner }) => runner));
  for (const { signature, update, ...receipt } of kept) {
    expect(receiptSigner(deployment, { receipt, signature })).toBe(addressOf(wallet));
    expect(update.samples).toBe(10);
  }
  expect(await table.listReceipts(opening.job, 1, runnerAddress(7))).toHaveLength(1);
  expect(await table.listReceipts(opening.job, 2)).toEqual([]);
});

test('repeated, it signs the same', async () => {
  const opening = openingOf('again', 2);
  await signReceipts(parts(), { opening, updates: updatesOf(2) });
  const before = await table.listReceipts(opening.job, 1);
  await signReceipts(parts(), { opening, updates: updatesOf(2) });
  expect(await table.listReceipts(opening.job, 1)).toEqual(before);
});

test('a round that is begun anew does not go on without a runner that has a receipt', async () => {
  const opening = openingOf('twice', 3);
  await signReceipts(parts(), { opening, updates: updatesOf(3) });
  await expect(signReceipts(parts(), { opening, updates: updatesOf(2) })).rejects.toMatchObject({
    code: 'RECEIPT_BROKEN',
    message: expect.stringContaining(runnerAddress(3)),
  });
  // Under another opening it is another round.
  const other = { ...opening, openHash: hash('f') };
  await signReceipts(parts(), { opening: other, updates: updatesOf(2) });
});

test('both statements of a runner that signed two are kept', async () => {
  const opening = openingOf('two', 1);
  const [update] = updatesOf(1);
  if (!update) throw new Error('no update');
  await signReceipts(parts(), { opening, updates: [update] });
  await signReceipts(parts(), { opening, updates: [{ ...update, updateRoot: hash('9') }] });
  const roots = (await table.listReceipts(opening.job, 1)).map(({ updateRoot }) => updateRoot);
  expect(new Set(roots)).toEqual(new Set([hash('7'), hash('9')]));
});

function openingOf(name: string, runners: number): RoundOpening {
  return {
    job: id(name) as Hex,
    round: 1,
    baseVersion: hash('1'),
    specHash: hash('2'),
    openHash: hash('3'),
    shift: 0,
    selection: updatesOf(runners).map(({ runner }) => ({ runner, maxSamples: 10 })),
  };
}

function updatesOf(count: number): TrainUpdate[] {
  return Array.from({ length: count }, (_, index) => ({
    kind: 'update',
    runner: runnerAddress(index + 1),
    file: hash('6'),
    bytes: 10,
    updateRoot: hash('7'),
    dimension: 4,
    samples: 10,
    steps: 1,
    saturated: 0,
    signature: `0x${'ab'.repeat(64)}1b`,
    training: { onnxruntime: '1', provider: 'cpu', cpu: 'avx2', threads: 1 },
    loss: 1,
    seconds: 1,
  }));
}

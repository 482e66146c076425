import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { readEarnings, type Earning } from '#audit/earnings.js';
import type { AuditSources } from '#audit/sources.js';
import { claimRewards } from '#cli/rewards/claim.js';
import { csvField, earningsCsv } from '#cli/rewards/csv.js';
import { explainLines, formulaLine } from '#cli/rewards/explain.js';
import { verifyProof } from '#core/merkle.js';
import { fromHex } from '#core/hex.js';
import { rewardLeafHash } from '#core/rewards.js';
import { noTraces } from '#services/telemetry/traces.js';
import { folderIntents } from '#services/folderIntents.js';
import { sha256 } from '#services/sha256.js';
import { prepareCoordinator, writeHistory } from '#test/audit/history.js';
import { runnerWallets } from '#test/audit/signing.js';
import { addressOf, giveEther, startChainStack, type ChainStack } from '#test/services/chainStack.js';

const theme = { color: false, unicode: true, columns: 160 };
let stack: ChainStack;
let sources: AuditSources;
let folder = '';
const payer = () => addressOf(stack.member);
const accounts = () =>
  runnerWallets.map((wallet, i) => {
    const keyFile = join(folder, `key-${i}`);
    writeFileSync(keyFile, `${wallet.privateKey}\n`, { mode: 0o600 });
    return { account: addressOf(wallet), keyFile };
  });
const chainTime = async () => (await stack.chain.provider.getBlock('latest'))?.timestamp ?? 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-rewards-'));
  stack = await startChainStack();
  await prepareCoordinator(stack);
  const history = await writeHistory(stack, 'paid');
  sources = { chain: stack.chain, archive: history.archive, hash: sha256 };
  for (const wallet of runnerWallets) await giveEther(stack.anvil, wallet);
}, 120_000);
afterAll(async () => {
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
  await stack.stop();
});

describe('what was earned', () => {
  test('is explained by the numbers of the rule, and each amount can be reckoned again', async () => {
    const { lines } = await readEarnings(sources, payer(), await chainTime());
    expect(lines).toHaveLength(2 * runnerWallets.length);
    for (const { budget, units, unitsBefore, unitsInAll, amount } of lines)
      expect((budget * (unitsBefore + units)) / unitsInAll - (budget * unitsBefore) / unitsInAll).toBe(
        amount,
      );
    for (const round of [1, 2]) {
      const own = lines.filter((line) => line.round === round);
      expect(own.reduce((sum, { amount }) => sum + amount, 0n)).toBe(own[0]?.budget);
    }
    const [first] = lines;
    expect(formulaLine(first as Earning)).toBe('  floor(500*(0+100)/200) - floor(500*0/200) = 250 - 0 = 250');
  });

  test('has a proof that leads to the root on chain', async () => {
    const { proofs } = await readEarnings(sources, payer(), await chainTime());
    for (const wallet of runnerWallets) {
      const proof = proofs.get(addressOf(wallet));
      if (!proof) throw new Error('no proof');
      const { leaf, epoch } = proof;
      const root = fromHex(epoch.root);
      expect(
        verifyProof(sha256, root, rewardLeafHash(sha256, leaf), leaf.index, epoch.leaves, leaf.proof),
      ).toBe(true);
    }
  });

  test('is in its window, then claimable, then claimed by one transaction for all accounts', async () => {
    const now = await chainTime();
    const states = async (at: number) =>
      new Set((await readEarnings(sources, payer(), at)).lines.map(({ state }) => state));
    expect(await states(now)).toEqual(new Set(['waiting']));
    expect(await states(now + 61)).toEqual(new Set(['claimable']));
    await stack.anvil.provider.send('evm_increaseTime', [61]);
    await stack.anvil.provider.send('evm_mine', []);
    // The contract's clock was moved; claiming goes by this machine's.
    const clock = Date.now.bind(Date);
    jest.spyOn(Date, 'now').mockImplementation(() => clock() + 1_000_000);
    const intents = folderIntents(join(folder, 'intents'));
    const claims = await claimRewards(sources, payer(), accounts(), intents, noTraces);
    expect(new Set(claims.map(({ transaction }) => transaction)).size).toBe(1);
    for (const { account, amount } of claims) expect(await stack.chain.balance(account)).toBe(amount);
    expect(claims.reduce((sum, { amount }) => sum + amount, 0n)).toBe(1_001n);
    const again = await claimRewards(sources, payer(), accounts(), intents, noTraces);
    expect(again.every(({ amount, transaction }) => amount === 0n && transaction === null)).toBe(true);
    expect(await states(now + 200)).toEqual(new Set(['claimed']));
    const [line] = (await readEarnings(sources, payer(), now + 200)).lines;
    expect(line?.transaction).toBe(claims[0]?.transaction);
  });

  test('is written for people with the formula, the proof and where it was published', async () => {
    const earnings = await readEarnings(sources, payer(), (await chainTime()) + 200);
    const account = addressOf(runnerWallets[0] ?? stack.member);
    const text = explainLines(theme, earnings, {
      account,
      name: 'alder',
      explorer: 'https://x.example',
    }).join('\n');
    const proof = earnings.proofs.get(account);
    expect(text).toContain(`https://x.example/tx/${proof?.epoch.transaction}`);
    expect(text).toContain(proof?.epoch.root);
    expect(text).toMatch(/floor\(\d+\*\(\d+\+\d+\)\/\d+\)/);
    expect(text).toContain('all of it claimed');
  });
});

describe('the export', () => {
  test('is CSV by RFC 4180 that adds up to what was paid', async () => {
    const { lines } = await readEarnings(sources, payer(), (await chainTime()) + 200);
    const { chainId, token } = stack.deployment;
    const csv = earningsCsv(lines, { chainId, token, decimals: 18 });
    const [header, ...rows] = csv.split('\r\n').map((row) => row.split(','));
    expect(rows.pop()).toEqual(['']);
    expect(header).toEqual(
      'date,state,epoch,job,round,runner,units,amount,tokens,token,transaction,block,chain_id'.split(','),
    );
    const column = (name: string) => rows.map((row) => row[header?.indexOf(name) ?? -1] ?? '');
    expect(column('amount').reduce((sum, amount) => sum + BigInt(amount), 0n)).toBe(1_001n);
    expect(column('tokens')[0]).toBe('0.00000000000000025');
    expect(column('date')[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/);
    expect(new Set(column('state'))).toEqual(new Set(['claimed']));
  });

  test.each([
    ['=1+1', "'=1+1"],
    ['+1', "'+1"],
    ['-1', "'-1"],
    ['@sum', "'@sum"],
    ['\tx', "'\tx"],
    ['a,b', '"a,b"'],
    ['say "x"', '"say ""x"""'],
    ['two\r\nlines', '"two\r\nlines"'],
    ['0xabc', '0xabc'],
  ])('writes the field %j as %j', (text, written) => expect(csvField(text)).toBe(written));
});

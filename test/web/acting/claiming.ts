import { expect, test } from '@jest/globals';
import { JsonRpcProvider } from 'ethers';
import { deployment } from '#contracts/deployment.js';
import { tokenAbi } from '#contracts/generated/Token.js';
import { typedContract } from '#contracts/typed.js';
import { until } from '../../support/until.js';
import { chainId, type LookedAt } from '../lookedAt.js';
import { choose } from '../wallet.js';

/** On a stack whose job has ended. */
export function claimingTests(at: () => LookedAt): void {
  test('a member claims what a runner has earned, once', async () => {
    await until(
      async () => (await at().api.epochs()).some(({ state }) => state === 'effective'),
      'an effective epoch',
      80,
    );
    const { page } = await at().openWithWallet('rewards');
    await page.click('text=Recompute all rewards here');
    await page.waitForSelector('.verdict.true');
    const button = page.locator('button[aria-label^="Claim "]').first();
    const name = String(await button.getAttribute('aria-label')).slice('Claim '.length);
    const { runner } = (await at().api.runners()).find((view) => view.name === name) ?? {};
    if (!runner) throw new Error(`no runner is called ${name}`);
    const before = await balanceOf(at(), runner);
    await button.click();
    await choose(page);
    await page.waitForSelector('.verdict:has-text("the contract would pay it")');
    const words = await page.locator('dialog').innerText();
    expect(words).toMatch(/It takes about [\d,.]+ gas\. At [\d,.]+ gwei each/);
    await page.click('text=Claim with the wallet');
    await page.waitForSelector('.verdict.true:has-text("Paid: ")');
    const paid = (await balanceOf(at(), runner)) - before;
    expect(paid).toBeGreaterThan(0n);
    await page.keyboard.press('Escape');
    // What the page knows is from before the claim: the simulation finds that nothing is left.
    await button.click();
    await page.waitForSelector('.verdict:has-text("Nothing is left to claim")');
    expect(await page.locator('button:has-text("Claim with the wallet")').isDisabled()).toBe(true);
    await page.keyboard.press('Escape');
    const leaf = page.locator('section', { has: page.locator('h2:has-text("My leaf")') });
    await leaf.locator('select').selectOption(runner);
    const shown = await Promise.all(
      (await at().api.epochs()).map(({ root }) => leaf.locator(`code[title="${root}"]`).count()),
    );
    expect(shown.filter((times) => times > 0)).toHaveLength(1);
    await page.close();
  }, 120_000);

  test('on another chain nothing is run, signed or sent', async () => {
    const { page } = await at().openWithWallet('rewards', { chainId: 1 });
    await page.click('text=Recompute all rewards here');
    await page.waitForSelector('.verdict.true');
    await page.locator('button[aria-label^="Claim "]').first().click();
    await choose(page);
    await page.waitForSelector('.problem:has-text("on chain 1, and this stack on chain 31337")');
    expect(await page.locator('button:has-text("Claim with the wallet")').count()).toBe(0);
    await page.close();
  });

  test('with the API dead a claim is proved, run and paid all the same', async () => {
    const { page } = await at().openWithWallet('rewards');
    await page.waitForSelector('text=Earned and paid');
    await page.route('**/v1/**', (route) => route.abort());
    await page.route('**/config.json', (route) => route.abort());
    await page.reload();
    await page.click('text=Recompute all rewards here');
    await page.waitForSelector('.verdict.true');
    await page.waitForSelector('.stale:has-text("The API does not answer")');
    const button = page.locator('button[aria-label^="Claim "]').first();
    await button.click();
    await choose(page);
    await page.waitForSelector('.verdict:has-text("the contract would pay it")');
    await page.click('text=Claim with the wallet');
    await page.waitForSelector('.verdict.true:has-text("Paid: ")');
    await page.close();
  }, 60_000);
}

async function balanceOf({ stack }: LookedAt, account: `0x${string}`): Promise<bigint> {
  const { token } = deployment.parse(stack.file.chain.deployment);
  const provider = new JsonRpcProvider(stack.file.chain.rpcUrl, chainId, {
    staticNetwork: true,
    cacheTimeout: -1,
  });
  try {
    return await typedContract(tokenAbi, token, provider).read.balanceOf(account);
  } finally {
    provider.destroy();
  }
}

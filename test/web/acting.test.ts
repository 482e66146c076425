import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import type { Page } from 'playwright-core';
import { readWallet } from '#cli/api.js';
import { deployment } from '#contracts/deployment.js';
import type { JobView } from '#core/views.js';
import { digitsSpec } from '../support/digitsJob.js';
import { until } from '../support/until.js';
import { claimingTests } from './acting/claiming.js';
import { owningTests } from './acting/owning.js';
import { axeViolations, findChromium, looks, widthBeyond } from './browser.js';
import { chainId, startLookedAt, type LookedAt } from './lookedAt.js';
import { choose } from './wallet.js';

const chromium = findChromium();
const withBrowser = chromium === null ? describe.skip : describe;

let at: LookedAt;
let member: Wallet;
let job: JobView;

withBrowser('somebody with a wallet', () => {
  beforeAll(async () => {
    at = await startLookedAt(chromium ?? '', 200);
    member = readWallet(at.stack.file.keys.coordinator);
    const written = {
      name: 'acted-upon',
      rounds: 500,
      participants: { quorum: 3 },
      rewards: { budget: '500000' },
    };
    const spec = await digitsSpec(at.api, at.stack, written);
    const submitted = await at.api.submit({ key: 'the-job-that-is-acted-upon', spec });
    await until(async () => (await at.api.job(submitted.job)).round >= 2, 'two rounds', 60);
    job = await at.api.job(submitted.job);
  }, 150_000);

  afterAll(async () => {
    await at?.stop();
  }, 60_000);

  test('reads what will be signed, pauses the job, and finds the act in the log', async () => {
    const { page, wallet } = await at.openWithWallet(`jobs/${job.job}`);
    await page.click('button:has-text("Pause")');
    await choose(page);
    const shown = await page.locator('.signed').innerText();
    for (const text of [at.stack.file.coordinator, 'job.pause', job.job]) expect(shown).toContain(text);
    await page.click('text=and send');
    await page.waitForSelector('.verdict.true:has-text("pause before its next round")');
    const [signed] = wallet.signed;
    expect(signed?.message).toMatchObject({ action: 'job.pause', target: job.job, url: at.stack.file.api });
    expect(signed?.domain).toMatchObject({ chainId, verifyingContract: contracts().consortium });
    await page.keyboard.press('Escape');
    await page.waitForSelector('.badge.paused', { timeout: 20_000 });
    const log = page.locator('section', { has: page.locator('h2:has-text("What was done to it")') });
    expect(await log.innerText()).toContain(member.address.slice(2, 8).toLowerCase());
    expect((await at.api.job(job.job)).state).toBe('paused');
    await page.close();
  }, 60_000);

  test('does nothing on a wrong chain, nor when the person declines', async () => {
    const { page, wallet } = await at.openWithWallet(`jobs/${job.job}`, { chainId: 1 });
    await page.click('button:has-text("Resume")');
    await choose(page);
    await page.waitForSelector('.problem:has-text("on chain 1, and this stack on chain 31337")');
    expect(await page.locator('text=and send').count()).toBe(0);
    wallet.declines = true;
    await page.click('text=Switch the wallet');
    await page.waitForSelector('.problem:has-text("rejected")');
    await wallet.changeChain(chainId);
    await page.click('text=and send');
    await page.waitForSelector('.verdict.false:has-text("You declined")');
    expect((await at.api.job(job.job)).state).toBe('paused');
    await page.close();
  });

  test('is told that a stranger may not, in the words of the stack', async () => {
    const { page, wallet } = await at.openWithWallet(`jobs/${job.job}`);
    await page.click('button:has-text("Resume")');
    await choose(page);
    await page.waitForSelector(`dialog code[title="${member.address.toLowerCase()}"]`);
    const stranger = new Wallet(Wallet.createRandom().privateKey);
    await wallet.changeAccount(stranger);
    await page.waitForSelector(`dialog code[title="${stranger.address.toLowerCase()}"]`);
    await page.click('text=and send');
    await page.waitForSelector('.verdict.false:has-text("is not registered on chain")');
    await page.close();
  });

  test('drains a runner, which then gets no round, and resumes the job', async () => {
    const [runner] = await at.api.runners();
    if (!runner) throw new Error('no runner');
    const { page } = await at.openWithWallet('runners');
    await page.click(`button[aria-label="Drain ${runner.name}"]`);
    await page.fill('dialog input', 'its disk is full');
    await choose(page);
    await page.click('text=and send');
    await page.waitForSelector('.verdict.true');
    await page.keyboard.press('Escape');
    await page.waitForSelector('text=drained, so it gets no new rounds: its disk is full');
    await page.goto(`${at.stack.file.api}/#/jobs/${job.job}`);
    await page.click('button:has-text("Resume")');
    await choose(page);
    await page.click('text=and send');
    await page.waitForSelector('.verdict.true');
    const after = (await at.api.job(job.job)).round;
    await until(async () => (await at.api.job(job.job)).round > after, 'another round', 60);
    const next = (await at.api.rounds(job.job)).find(({ round }) => round === after + 1);
    expect(next?.missing).toMatchObject([{ runner: runner.runner, code: 'drained' }]);
    expect(next?.missing[0]?.reason).toContain('its disk is full');
    await at.api.act({ action: 'runner.undrain', target: runner.runner });
    await page.close();
  }, 60_000);

  test('cancels the job with the keyboard alone; its finished rounds stand', async () => {
    const { page } = await at.openWithWallet(`jobs/${job.job}`);
    const button = page.locator('button:has-text("Cancel")');
    await button.focus();
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open]');
    await focusOn(page, 'Use ');
    await page.keyboard.press('Enter');
    await page.waitForSelector('button:has-text("and send"):enabled');
    await focusOn(page, 'Sign with');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.verdict.true');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog', { state: 'detached' });
    await page.waitForSelector('.badge.cancelled', { timeout: 20_000 });
    job = await at.api.job(job.job);
    expect(job.state).toBe('cancelled');
    const done = (await at.api.rounds(job.job)).filter(({ phase }) => phase === 'done');
    expect(done).toHaveLength(job.round);
    expect(job.transactions.map(({ purpose }) => purpose)).toContain('finish');
    await page.close();
  }, 60_000);

  claimingTests(() => at);

  test('finds what was done in the log, and the log true', async () => {
    const { page } = await at.openWithWallet('stack');
    await page.click('text=Check the log here');
    await page.waitForSelector('.verdict.true:has-text("signed by whom it names")');
    const text = await page.locator('section', { has: page.locator('h2:text-is("Acts")') }).innerText();
    for (const verb of ['Pause', 'Resume', 'Drain', 'Cancel']) expect(text).toContain(verb);
    await page.route(/\/v1\/acts\?/, async (route) => {
      const answer = (await (await route.fetch({ headers: {} })).json()) as { items: { at: string }[] };
      const changed = answer.items[1];
      if (changed) changed.at = '2026-01-01T00:00:00.000Z';
      await route.fulfill({ json: answer });
    });
    await page.reload();
    await page.click('text=Check the log here');
    await page.waitForSelector('.verdict.false:has-text("chain of hashes")');
    await page.close();
  });

  test.each(looks)(
    'axe finds nothing in the dialog %s',
    async (_, options) => {
      const { page } = await at.openWithWallet('runners', {}, options);
      await page.locator('button[aria-label^="Suspend"]').first().click();
      await choose(page);
      await page.waitForSelector('.signed');
      expect(await page.locator('button:has-text("and send")').isDisabled()).toBe(true);
      expect(await axeViolations(page)).toEqual([]);
      const beyond = await widthBeyond(page);
      expect(beyond).toBe(0);
      await page.close();
    },
    60_000,
  );

  owningTests(() => at);

  test('no page ran against its policy, threw, or asked a stranger', () => {
    expect(at.complaints).toEqual([]);
  });
});

const contracts = () => deployment.parse(at.stack.file.chain.deployment);

/** Presses Tab until the focus is on the button that begins so. */
async function focusOn(page: Page, text: string): Promise<void> {
  for (let pressed = 0; pressed < 20; pressed++) {
    const focused = String(await page.evaluate('document.activeElement?.textContent'));
    if (focused.startsWith(text)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab never came to ${text}`);
}

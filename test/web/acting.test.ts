import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { JsonRpcProvider, Wallet } from 'ethers';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { readWallet, type Api } from '#cli/api.js';
import { serveOwnerPage, type OwnerPage } from '#cli/runner/page.js';
import { deployment } from '#contracts/deployment.js';
import { tokenAbi } from '#contracts/generated/Token.js';
import { typedContract } from '#contracts/typed.js';
import type { JobView } from '#core/views.js';
import { readRunnerHome } from '#gpu-runner/runnerHome.js';
import { distFile } from '#local/paths.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { few } from '../support/digits.js';
import { digitsSpec } from '../support/digitsJob.js';
import { apiOf, untilEnrolled } from '../support/stackApi.js';
import { until } from '../support/until.js';
import {
  axeViolations,
  findChromium,
  friendsOf,
  looks,
  openBrowser,
  watched,
  widthBeyond,
} from './browser.js';
import { injectWallet, walletName, type InjectedWallet } from './wallet.js';

const chromium = findChromium();
const withBrowser = chromium === null ? describe.skip : describe;
const chainId = 31337;

let state: string;
let stack: LocalStack;
let api: Api;
let browser: Browser;
let member: Wallet;
let job: JobView;
const complaints: string[] = [];

withBrowser('somebody with a wallet', () => {
  beforeAll(async () => {
    state = mkdtempSync(join(tmpdir(), 'roundtable-acting-'));
    stack = await startStack({ stateDir: state, data: [{ name: 'digits', load: () => few(200) }] });
    browser = await openBrowser(chromium ?? '');
    member = readWallet(stack.file.keys.coordinator);
    api = apiOf(stack);
    await untilEnrolled(api, stack);
    const written = {
      name: 'acted-upon',
      rounds: 500,
      participants: { quorum: 3 },
      rewards: { budget: '500000' },
    };
    const spec = await digitsSpec(api, stack, written);
    const submitted = await api.submit({ key: 'the-job-that-is-acted-upon', spec });
    await until(async () => (await api.job(submitted.job)).round >= 2, 'two rounds', 60);
    job = await api.job(submitted.job);
  }, 150_000);

  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
    rmSync(state, { recursive: true, force: true });
  }, 60_000);

  test('reads what will be signed, pauses the job, and finds the act in the log', async () => {
    const { page, wallet } = await open(`jobs/${job.job}`);
    await page.click('button:has-text("Pause")');
    await choose(page);
    const shown = await page.locator('.signed').innerText();
    for (const text of [stack.file.coordinator, 'job.pause', job.job]) expect(shown).toContain(text);
    await page.click('text=and send');
    await page.waitForSelector('.verdict.true:has-text("pause before its next round")');
    const [signed] = wallet.signed;
    expect(signed?.message).toMatchObject({ action: 'job.pause', target: job.job, url: stack.file.api });
    expect(signed?.domain).toMatchObject({ chainId, verifyingContract: contracts().consortium });
    await page.keyboard.press('Escape');
    await page.waitForSelector('.badge.paused', { timeout: 20_000 });
    const log = page.locator('section', { has: page.locator('h2:has-text("What was done to it")') });
    expect(await log.innerText()).toContain(member.address.slice(2, 8).toLowerCase());
    expect((await api.job(job.job)).state).toBe('paused');
    await page.close();
  }, 60_000);

  test('does nothing on a wrong chain, nor when the person declines', async () => {
    const { page, wallet } = await open(`jobs/${job.job}`, { chainId: 1 });
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
    expect((await api.job(job.job)).state).toBe('paused');
    await page.close();
  });

  test('is told that a stranger may not, in the words of the stack', async () => {
    const { page, wallet } = await open(`jobs/${job.job}`);
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
    const [runner] = await api.runners();
    if (!runner) throw new Error('no runner');
    const { page } = await open('runners');
    await page.click(`button[aria-label="Drain ${runner.name}"]`);
    await page.fill('dialog input', 'its disk is full');
    await choose(page);
    await page.click('text=and send');
    await page.waitForSelector('.verdict.true');
    await page.keyboard.press('Escape');
    await page.waitForSelector('text=drained, so it gets no new rounds: its disk is full');
    await page.goto(`${stack.file.api}/#/jobs/${job.job}`);
    await page.click('button:has-text("Resume")');
    await choose(page);
    await page.click('text=and send');
    await page.waitForSelector('.verdict.true');
    const after = (await api.job(job.job)).round;
    await until(async () => (await api.job(job.job)).round > after, 'another round', 60);
    const next = (await api.rounds(job.job)).find(({ round }) => round === after + 1);
    expect(next?.missing).toMatchObject([{ runner: runner.runner, code: 'drained' }]);
    expect(next?.missing[0]?.reason).toContain('its disk is full');
    await api.act({ action: 'runner.undrain', target: runner.runner });
    await page.close();
  }, 60_000);

  test('cancels the job with the keyboard alone; its finished rounds stand', async () => {
    const { page } = await open(`jobs/${job.job}`);
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
    job = await api.job(job.job);
    expect(job.state).toBe('cancelled');
    const done = (await api.rounds(job.job)).filter(({ phase }) => phase === 'done');
    expect(done).toHaveLength(job.round);
    expect(job.transactions.map(({ purpose }) => purpose)).toContain('finish');
    await page.close();
  }, 60_000);

  test('claims what a runner has earned, once', async () => {
    await until(
      async () => (await api.epochs()).some(({ state }) => state === 'effective'),
      'an effective epoch',
      80,
    );
    const { page, wallet } = await open('rewards');
    await page.click('text=Recompute all rewards here');
    await page.waitForSelector('.verdict.true');
    const button = page.locator('button[aria-label^="Claim "]').first();
    const name = String(await button.getAttribute('aria-label')).slice('Claim '.length);
    const { runner } = (await api.runners()).find((view) => view.name === name) ?? {};
    if (!runner) throw new Error(`no runner is called ${name}`);
    await wallet.changeAccount(member);
    const before = await balanceOf(runner);
    await button.click();
    await choose(page);
    await page.waitForSelector('.verdict:has-text("the contract would pay it")');
    const words = await page.locator('dialog').innerText();
    expect(words).toMatch(/It takes about [\d,.]+ gas\. At [\d,.]+ gwei each/);
    await page.click('text=Claim with the wallet');
    await page.waitForSelector('.verdict.true:has-text("Paid: ")');
    const paid = (await balanceOf(runner)) - before;
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
      (await api.epochs()).map(({ root }) => leaf.locator(`code[title="${root}"]`).count()),
    );
    expect(shown.filter((times) => times > 0)).toHaveLength(1);
    await page.close();
  }, 120_000);

  test('finds what was done in the log, and the log true', async () => {
    const { page } = await open('stack');
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
      const { page } = await open('runners', {}, options);
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

  describe('who owns a runner', () => {
    let own: OwnerPage;
    const stop = new AbortController();
    beforeAll(async () => {
      const home = await readRunnerHome(stack.file.runners[0]?.home ?? '');
      own = await serveOwnerPage(home, distFile('runner/web'), stop.signal);
    });
    afterAll(async () => {
      stop.abort();
      await own?.close();
    });

    test.each<[string, BrowserContextOptions]>(looks)(
      'sees %s what was asked, sent and refused, and what the chain paid',
      async (_, options) => {
        const context = await browser.newContext(options);
        const page = watched(await context.newPage(), complaints, [
          ...friendsOf(stack),
          new URL(own.url).origin,
        ]);
        await page.goto(own.url);
        await page.waitForSelector('h2:has-text("What was asked, sent and refused")');
        await page.waitForSelector('.checked.true:has-text("records follow from each other")');
        expect(page.url()).not.toContain(own.url.split('/').at(-1));
        const text = await page.locator('main').innerText();
        expect(text).toMatch(/an update from \d+ samples, [\d,]+ bytes, sealed/);
        expect(text).toContain('registered');
        await page.waitForSelector('text=Paid on chain, by all payers');
        expect(await axeViolations(page)).toEqual([]);
        await page.click('nav >> text=Jobs');
        await page.waitForSelector('text=acted-upon');
        await context.close();
      },
      60_000,
    );

    test('shows it to nobody else: not without the token, not under another name', async () => {
      const { origin } = new URL(own.url);
      expect((await fetch(`${origin}/mine/decisions`)).status).toBe(401);
      const wrong = { authorization: `Bearer ${'A'.repeat(43)}` };
      expect((await fetch(`${origin}/mine/status`, { headers: wrong })).status).toBe(401);
      expect(await statusUnder(origin, 'rebound.example')).toBe(421);
    });
  });

  test('no page ran against its policy, threw, or asked a stranger', () => {
    expect(complaints).toEqual([]);
  });
});

const contracts = () => deployment.parse(stack.file.chain.deployment);

async function open(
  view: string,
  wallet: { chainId?: number } = {},
  options: BrowserContextOptions = {},
): Promise<{ page: Page; wallet: InjectedWallet }> {
  const context = await browser.newContext(options);
  const page = watched(await context.newPage(), complaints, friendsOf(stack));
  const { rpcUrl } = stack.file.chain;
  const injected = await injectWallet(page, { wallet: member, rpcUrl, chainId, ...wallet });
  await page.goto(`${stack.file.api}/#/${view}`);
  return { page, wallet: injected };
}

/** Takes the wallet that is offered; its name is text. */
async function choose(page: Page): Promise<void> {
  const button = page.locator('dialog button', { hasText: 'Use ' });
  expect(await button.innerText()).toBe(`Use ${walletName}`);
  await button.click();
}

/** Presses Tab until the focus is on the button that begins so. */
async function focusOn(page: Page, text: string): Promise<void> {
  for (let pressed = 0; pressed < 20; pressed++) {
    const focused = String(await page.evaluate('document.activeElement?.textContent'));
    if (focused.startsWith(text)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab never came to ${text}`);
}

async function balanceOf(account: `0x${string}`): Promise<bigint> {
  const provider = new JsonRpcProvider(stack.file.chain.rpcUrl, chainId, {
    staticNetwork: true,
    cacheTimeout: -1,
  });
  try {
    return await typedContract(tokenAbi, contracts().token, provider).read.balanceOf(account);
  } finally {
    provider.destroy();
  }
}

/** fetch sets the host itself. */
async function statusUnder(origin: string, host: string): Promise<number> {
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    request(`${origin}/`, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

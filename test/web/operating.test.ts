import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { GetQueueUrlCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import type { Hex } from '#core/hex.js';
import { deadLetterName, queueNames } from '#core/names.js';
import { deriveJobId } from '#functions/jobs.js';
import { awsEnvironment } from '#local/environment.js';
import { distFile } from '#local/paths.js';
import { readPorts } from '#local/supervisor/ports.js';
import { openDeadLetters } from '#services/deadLetters.js';
import { createQueueClient } from '#services/queue.js';
import { placeContractAccount } from '../support/contractAccount.js';
import { digitsSpec } from '../support/digitsJob.js';
import { until } from '../support/until.js';
import { findChromium } from './browser.js';
import { startLookedAt, type LookedAt } from './lookedAt.js';
import { choose } from './wallet.js';

const chromium = findChromium();
const withBrowser = chromium === null ? describe.skip : describe;

let at: LookedAt;

/** What an operator does between jobs. */
withBrowser('somebody who operates a stack', () => {
  beforeAll(async () => {
    at = await startLookedAt(chromium ?? '', 200);
  }, 150_000);

  afterAll(async () => {
    await at?.stop();
  }, 60_000);

  test('puts a dead letter back once its cause is gone, and its job starts', async () => {
    const { coordinator } = at.stack.file;
    const key = 'a-job-that-was-not-there';
    const job = deriveJobId('submit', coordinator, key);
    // A message that came before its row, as after a table that was restored to a moment too early.
    await layAside({ type: 'job', job });
    const { page, wallet } = await at.openWithWallet('stack');
    await page.waitForSelector('text=1 could not be processed', { timeout: 60_000 });
    const section = page.locator('section', { has: page.locator('h2:text-is("Queues")') });
    expect(await section.innerText()).toContain('NOT_FOUND');
    expect(
      (await at.api.submit({ key, spec: await digitsSpec(at.api, at.stack, { name: 'rung-too-early' }) }))
        .job,
    ).toBe(job);
    await section.locator('button:has-text("Put back")').click();
    await choose(page);
    const shown = await page.locator('.signed').innerText();
    for (const text of [coordinator, 'queue.redrive', 'jobs']) expect(shown).toContain(text);
    await page.click('text=and send');
    await page.waitForSelector('.verdict.true:has-text("1 messages were put back")');
    expect(wallet.signed[0]?.message).toMatchObject({ action: 'queue.redrive', target: 'jobs' });
    await page.keyboard.press('Escape');
    await until(
      async () => (await at.api.queues()).every(({ waiting, dead }) => waiting === 0 && dead === 0),
      'the message is processed this time',
      60,
    );
    await section.locator('text=0 waiting').first().waitFor();
    const log = page.locator('section', { has: page.locator('h2:text-is("Acts")') });
    await log.locator('text=1 messages were put back').waitFor();
    await page.click('text=Check the log here');
    await page.waitForSelector('.verdict.true:has-text("signed by whom it names")');
    await page.context().close();
  }, 150_000);

  test('sees a runner that its owner drained on the command line, and why', async () => {
    const [runner] = at.stack.file.runners;
    if (!runner) throw new Error('there is no runner');
    const { page } = await at.openWithWallet('runners');
    await owner('drain', runner.home, '--reason', 'a new disk');
    await page.waitForSelector('text=drained, so it gets no new rounds: a new disk', { timeout: 20_000 });
    await page.goto(`${at.stack.file.api}/#/stack`);
    const log = page.locator('section', { has: page.locator('h2:text-is("Acts")') });
    const row = log.locator('tr', { hasText: 'a new disk' });
    await row.locator(`code[title="${runner.runner}"]`).first().waitFor();
    await owner('undrain', runner.home);
    await page.goto(`${at.stack.file.api}/#/runners`);
    await page.waitForSelector('text=drained, so it gets', { state: 'detached', timeout: 20_000 });
    await page.context().close();
  }, 60_000);

  test('acts by a contract account, whose own word the log is checked by', async () => {
    const [, other] = at.stack.file.members;
    const [runner] = at.stack.file.runners.filter(({ member }) => member === other?.address);
    if (!other || !runner) throw new Error('there is no second member with a runner');
    const owner = new Wallet(Wallet.createRandom().privateKey);
    const { page, wallet } = await at.openWithWallet('runners', { account: other.address, wallet: owner });
    const drain = async () => {
      await page.click(`button[aria-label="Drain ${runner.name}"]`);
      await choose(page);
      await page.click('text=and send');
    };
    // While there is no contract, this is a signature in another's name.
    await drain();
    await page.waitForSelector('.verdict.false:has-text("nor does a contract at this address accept it")');
    await page.keyboard.press('Escape');
    await placeContractAccount(at.stack.file.chain.rpcUrl, other.address, owner.address as Hex);
    await drain();
    await page.waitForSelector('.verdict.true:has-text("gets no new rounds here")');
    await page.keyboard.press('Escape');
    expect(wallet.signed).toHaveLength(2);
    const admitted = (await at.api.acts()).findLast(({ entry }) => entry.kind === 'admitted');
    expect(admitted?.entry).toMatchObject({ signer: other.address, role: 'member' });
    await page.goto(`${at.stack.file.api}/#/stack`);
    await page.click('text=Check the log here');
    await page.waitForSelector('.verdict.true:has-text("signed by whom it names")');
    await page.click('summary:text-is("What was compared")');
    await page.waitForSelector('text=the contract there, asked (ERC-1271)');
    // Another owner now: what was signed is no longer what the contract takes.
    await placeContractAccount(at.stack.file.chain.rpcUrl, other.address, runner.runner);
    await page.click('text=Check the log here');
    await page.waitForSelector('.verdict.false:has-text("signature of record")');
    await page.context().close();
  }, 60_000);

  test('no page ran against its policy, threw, or asked a stranger', () => {
    expect(at.complaints).toEqual([]);
  });
});

/** As the dispatch function does it at the last delivery of a message that it cannot process. */
async function layAside(message: object): Promise<void> {
  const ports = readPorts(at.stack.supervisor.stateDir) as Parameters<typeof awsEnvironment>[0];
  Object.assign(process.env, awsEnvironment(ports));
  const client = createQueueClient();
  const urlOf = async (QueueName: string): Promise<string> =>
    String((await client.send(new GetQueueUrlCommand({ QueueName }))).QueueUrl);
  try {
    const urls = { queue: await urlOf(queueNames.jobs), dead: await urlOf(deadLetterName(queueNames.jobs)) };
    const why = {
      code: 'NOT_FOUND' as const,
      reason: 'The queue names a job which the table does not have.',
    };
    await openDeadLetters(urls, client).bury({ body: JSON.stringify(message), deliveries: 5 }, why);
  } finally {
    client.destroy();
  }
}

/** The runner's own package, as its owner types it. */
async function owner(...argv: string[]): Promise<void> {
  await promisify(execFile)(process.execPath, [distFile('runner/owner.js'), ...argv]);
}

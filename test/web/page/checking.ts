import { expect, test } from '@jest/globals';
import type { EpochView, JobView, VersionView } from '#core/views.js';
import { Gateways } from '#web/verify/archive.js';
import { Checks, type Check } from '#web/verify/checks.js';
import { ChainView, type Contracts } from '#web/verify/contracts.js';
import type { Said } from '#web/verify/messages.js';
import { verifyRewards } from '#web/verify/rewards.js';
import { Rpc } from '#web/verify/rpc.js';
import { verifyVersion } from '#web/verify/version.js';
import { untilSettled } from '../../support/stackApi.js';
import { lies } from '../lies.js';
import { flipped, verdict, type LookedAt } from '../lookedAt.js';

/** A stack with a job that is done, and its newest version. */
export interface Finished extends LookedAt {
  job: JobView;
  version: VersionView;
}

/** What the page checks, and what it finds out: on a job that is done. */
export function checkingTests(of: () => Finished): void {
  test('every round is compared with the chain unasked', async () => {
    const page = await of().open(`jobs/${of().job.job}`);
    await page.waitForSelector('text=4 of 4 rounds checked by this browser');
    await page.close();
  });

  test('a version is true, and false with one bit flipped, naming what differs', async () => {
    const page = await of().open(`versions/${of().version.model.versionId}`);
    await page.click('text=Check this version');
    expect(await verdict(page)).toMatch(/^True\. \d+ comparisons agree with the chain/);
    await page.click('text=one bit flipped');
    await page.waitForSelector('.verdict.false');
    const said = await verdict(page);
    expect(said).toContain('The flipped bit was noticed');
    for (const field of ['file', 'parameter tree', 'version id']) expect(said).toContain(`model, ${field}`);
    await page.close();
  });

  test('rewards are recomputed and agree with the root on chain', async () => {
    await untilSettled(of().api, of().job.job);
    const page = await of().open('rewards');
    await page.click('text=Recompute all rewards here');
    expect(await verdict(page)).toMatch(/^True\./);
    await page.close();
  }, 90_000);

  const unchecked: Record<string, RegExp> = {
    // When a row was written is the table's own affair, and what passed after the manifest was written is not in it.
    version: /^(seq|updatedAt)$/,
    round: /^(seq|updatedAt|startedAt|phase|seconds\.(archive|anchor|total))$/,
    // State, trigger and times of a job are the API's word and shown as such.
    job: /^(seq|updatedAt|state|trigger|delivery|createdAt|baseNumber|settledEpoch|problem|base\.(?!versionId).*|version\.(?!versionId).*|archive\.(?!manifest$).*|transactions\.\d+\.purpose|transactions\.length|round)$/,
    credits: /^length$|^\d+\.(type|payer|job|round)$/,
  };

  test('an API that lies in any one field is found out: every field that is shown as checked, one by one', async () => {
    const [view, round, credits] = await Promise.all([
      of().api.job(of().job.job),
      of()
        .api.rounds(of().job.job)
        .then((rounds) => rounds.at(-1)),
      of()
        .api.credits()
        .then((all) => all.filter(({ round: number }) => number === 4)),
    ]);
    if (!round) throw new Error('the job has no round');
    const said: Said = { version: of().version, round, job: view, credits };
    expect((await comparisons(of(), said)).filter(({ ok }) => ok === false)).toEqual([]);
    expect(credits.length).toBeGreaterThan(0);
    const missed: string[] = [];
    let told = 0;
    for (const [part, answer] of Object.entries(said) as [keyof Said, object][])
      for (const lie of lies(answer)) {
        if (unchecked[part]?.test(lie.path)) continue;
        told += 1;
        const wrong = (await comparisons(of(), { ...said, [part]: lie.told } as Said)).filter(
          ({ ok }) => ok === false,
        );
        const named = wrong.some(({ group }) => group.startsWith("The API's word"));
        if (!named) missed.push(`${part}.${lie.path}`);
      }
    expect(missed).toEqual([]);
    expect(told).toBeGreaterThan(80);
  }, 120_000);

  test('an API that lies about an epoch is found out, field by field', async () => {
    const epochs = await of().api.epochs();
    expect(epochs.length).toBeGreaterThan(0);
    const shown = /\.(root|total|leaves|manifestHash|transaction\.(hash|gas|block))$/;
    for (const lie of lies(epochs).filter(({ path }) => shown.test(path))) {
      const checks = new Checks();
      await verifyRewards(checks, sourcesOf(of()), of().stack.file.coordinator, {
        epochs: lie.told as EpochView[],
      });
      const wrong = checks.all.filter(({ ok }) => ok === false).map(({ group }) => group);
      // Of a transaction that there is not, gas and block are wrong as well.
      expect([lie.path, [...new Set(wrong)]]).toEqual([lie.path, ["The API's word on epoch 1"]]);
    }
  }, 60_000);

  test('what is found out is shown, with the name of the field', async () => {
    const page = await of().open('models');
    const tales: [field: string, lie: (view: VersionView) => void][] = [
      ['accuracy', (view) => (view.accuracy = 0.999)],
      ['file hash', (view) => (view.model.params = flipped(view.model.params))],
    ];
    let lie = tales[0]?.[1];
    await page.route('**/v1/versions', async (route) => {
      const response = await route.fetch({ headers: {} });
      const answer = (await response.json()) as { items: VersionView[] };
      const told = answer.items.find(({ model }) => model.versionId === of().version.model.versionId);
      if (told) lie?.(told);
      await route.fulfill({ json: answer });
    });
    for (const [field, next] of tales) {
      lie = next;
      await page.goto('about:blank');
      await page.goto(`${of().stack.file.api}/#/versions/${of().version.model.versionId}`);
      await page.waitForSelector('dl');
      await page.click('text=Check this version');
      expect(await verdict(page)).toContain(`the api's word, ${field}`);
    }
    await page.close();
  }, 60_000);

  test('a gateway that turns over one bit, and a node of another chain, are found out', async () => {
    const page = await of().open(`versions/${of().version.model.versionId}`);
    await page.route(`${of().stack.file.gateway}/${of().version.archive.model}`, async (route) => {
      const body = await (await route.fetch()).body();
      body[2_000] = (body[2_000] ?? 0) ^ 4;
      await route.fulfill({ body, headers: { 'access-control-allow-origin': '*' } });
    });
    await page.click('text=Check this version');
    expect(await verdict(page)).toContain('model, file');
    await page.route(`${of().stack.file.chain.rpcUrl}/`, async (route) => {
      const { id, method } = route.request().postDataJSON() as { id: number; method: string };
      if (method !== 'eth_chainId') return route.continue();
      await route.fulfill({
        json: { jsonrpc: '2.0', id, result: '0x1' },
        headers: { 'access-control-allow-origin': '*' },
      });
    });
    await page.click('text=Check this version');
    await page.waitForSelector('.verdict:has-text("chain id")');
    await page.close();
  });

  test('with the API dead, also after a reload, lineage, versions and rewards come from chain and archive', async () => {
    const page = await of().open('models');
    await page.waitForSelector('.lineage');
    // Nothing of the stack answers but the files of the page: config.json is gone as well.
    await page.route('**/v1/**', (route) => route.abort());
    await page.route('**/config.json', (route) => route.abort());
    await page.reload();
    await page.waitForSelector('text=This is what chain and archive say');
    expect(await page.locator('tr.lineage').count()).toBe(5);
    await page.click(`tr.lineage:has-text("round 4") a.strong`);
    await page.waitForSelector('h1:has-text("looked-at, version 4")');
    await page.waitForSelector('text=FedAvg');
    await page.click('text=Check this version');
    expect(await verdict(page)).toMatch(/^True\./);
    await page.goto(`${of().stack.file.api}/#/rewards`);
    await page.click('text=Recompute all rewards here');
    expect(await verdict(page)).toMatch(/^True\./);
    await page.goto(`${of().stack.file.api}/#/jobs`);
    await page.waitForSelector('text=what only the API knows');
    await page.close();
  }, 60_000);
}

const sourcesOf = ({ stack }: Finished) => {
  const { chain, gateway } = stack.file;
  const { rpcUrl } = chain;
  const deployment = chain.deployment as unknown as Contracts;
  return { chain: new ChainView(new Rpc(rpcUrl), deployment), archive: new Gateways([gateway]) };
};

async function comparisons(finished: Finished, said: Said): Promise<Check[]> {
  const checks = new Checks();
  await verifyVersion(
    checks,
    { ...sourcesOf(finished), said, flip: false },
    finished.version.model.versionId,
  );
  return checks.all;
}

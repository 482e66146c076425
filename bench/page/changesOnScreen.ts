import { readFileSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { finalJobStates } from '#core/views.js';
import { encodeDataset, mnistDigits, labelShards } from '#local/consortium/dataset.js';
import type { Emit } from '../main.js';
import { quantile, specFor, untilEnrolled, withStack } from '../stack.js';

const rounds = 12;

/**
 * A job on a real stack: from the moment that the API has a new phase of a round (asked every 20 ms) until the page
 * shows it.
 */
export async function changesOnScreen(emit: Emit, browser: Browser): Promise<void> {
  const { train } = mnistDigits();
  const [few] = labelShards(train, 8);
  if (!few) return;
  const data = [{ name: 'digits', load: () => few }];
  await withStack({ data }, async (stack, api) => {
    await untilEnrolled(api, stack.runners.length);
    const spec = await specFor(api, stack.members, readFileSync('examples/mnist/cnn.onnx'), {
      name: 'watched',
      data: { contract: 'digits', input: [1, 28, 28], classes: 10 },
      rounds,
      participants: { quorum: 'all' },
    });
    const withHeldOut = { ...spec, evaluation: { sha256: await api.putArtifact(encodeDataset(few)) } };
    const { job } = await api.submit({ key: 'the-watched-job', spec: withHeldOut });
    const page = await (await browser.newContext({ locale: 'en-US' })).newPage();
    await page.addInitScript(`
      window.seen = {};
      new MutationObserver(() => {
        const title = [...document.querySelectorAll('h2')].map((at) => at.textContent).find((text) => /^Round \\d+ is/.test(text));
        const done = [...document.querySelectorAll('tbody tr a.strong')].map((at) => at.textContent);
        if (title) window.seen[title] ??= Date.now();
        for (const round of done) window.seen['row ' + round] ??= Date.now();
      }).observe(document, { childList: true, subtree: true, characterData: true });
    `);
    await page.goto(`${stack.file.api}/#/jobs/${job}`);
    const told = new Map<string, number>();
    for (;;) {
      const [view, all] = await Promise.all([api.job(job), api.rounds(job)]);
      for (const { round } of all) if (!told.has(`row ${round}`)) told.set(`row ${round}`, Date.now());
      if (finalJobStates.includes(view.state)) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await page.waitForSelector('.badge.done');
    const seen = await page.evaluate<Record<string, number>>('window.seen');
    // The first round may be there before the page is.
    const delays = [...told]
      .slice(1)
      .map(([name, at]) => (seen[name] ?? Infinity) - at)
      .map((delay) => Math.max(0, delay));
    emit({
      what: 'from the table to the screen, on a real stack',
      changes: delays.length,
      median: Math.round(quantile(delays, 0.5)),
      p95: Math.round(quantile(delays, 0.95)),
      target: { p95: 1_500 },
    });
    await page.context().close();
  });
}

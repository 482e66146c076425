import { Watcher, type Observation } from '#audit/watcher.js';
import { sourcesOf, startCourt, stranger } from '#test/audit/court.js';
import { writeHistory } from '#test/audit/history.js';
import { runnersOf } from '#test/audit/signing.js';
import type { Emit } from './main.js';

/** Sixteen runners, and a model of the size of McMahan's CNN. */
const shapes = [
  { runners: 3, hidden: 5 },
  { runners: 16, hidden: 207_921 },
];

/**
 * From the transaction that closes a round with one wrong parameter, on a local chain, until its coordinator is
 * convicted by a stranger's watcher, which has the updates and looks for the first time: reading chain and archive,
 * judging both rounds of the job, commitment and report.
 */
export async function run(emit: Emit): Promise<void> {
  for (const { runners, hidden } of shapes) {
    const stack = await startCourt(runnersOf(runners));
    try {
      const watcher = stack.sender(stranger);
      const falsify = { params: (params: Int32Array) => void (params[17] = (params[17] ?? 0) + 1) };
      // The first history is paid, which is nothing to wait for here.
      await writeHistory(stack, 'paid');
      const lying = await writeHistory(stack, 'watched', falsify, { runners, hidden });
      const began = performance.now();
      const seen: Observation[] = [];
      await new Watcher(sourcesOf(stack, lying), watcher).look((said) => seen.push(said));
      const seconds = (performance.now() - began) / 1_000;
      const found = seen.find(({ outcome }) => outcome === 'convicted');
      if (!found) throw new Error('The watcher found nothing wrong.');
      emit({
        what: 'a round with one wrong parameter, from its close to the conviction',
        parameters: lying.models[0]?.params.length,
        runners,
        seconds: Number(seconds.toFixed(2)),
        call: found.calls[0],
        gas: found.gas,
        commitmentGas: found.transactions[0]?.gas,
        reportGas: found.transactions.at(-1)?.gas,
      });
    } finally {
      await stack.stop();
    }
  }
}

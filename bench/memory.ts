import { join } from 'node:path';
import { readJobFile } from '#cli/job/jobFile.js';
import { specOf } from '#cli/job/submit.js';
import { demoData } from '#local/demo.js';
import { projectRoot } from '#local/paths.js';
import type { Emit } from './main.js';
import { byPart, proportionalSetSize } from './processes.js';
import { untilDone, untilEnrolled, withStack } from './stack.js';

/** Peak of the whole stack's proportional set size (shared pages counted once) in the default job. */
export async function run(emit: Emit): Promise<void> {
  const source = readJobFile(join(projectRoot, 'examples/mnist/job.yaml'));
  const data = demoData(source.job.data.contract, source.folder);
  await withStack({ data: [data] }, async (stack, api) => {
    await untilEnrolled(api, stack.runners.length);
    const peak = new Map<string, number>();
    let total = 0;
    const sample = () => {
      let sum = 0;
      for (const [name, bytes] of byPart(stack, proportionalSetSize)) {
        peak.set(name, Math.max(peak.get(name) ?? 0, bytes));
        sum += bytes;
      }
      total = Math.max(total, sum);
    };
    const timer = setInterval(sample, 250);
    const spec = await specOf(api, { ...source, evaluation: data.heldOut }, stack.file);
    const { job } = await api.submit({ key: 'bench-memory', spec });
    await untilDone(api, job);
    clearInterval(timer);
    emit({
      peakMegabytes: megabytes(total),
      parts: Object.fromEntries([...peak].map(([name, bytes]) => [name, megabytes(bytes)])),
    });
  });
}

const megabytes = (bytes: number) => Math.round(bytes / 1e6);

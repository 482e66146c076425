import { readdirSync, readFileSync } from 'node:fs';
import { readJobFile } from '#cli/job/jobFile.js';
import { specOf } from '#cli/job/submit.js';
import { demoData } from '#local/demo.js';
import { projectRoot } from '#local/paths.js';
import type { Emit } from './main.js';
import { untilDone, untilEnrolled, withStack } from './stack.js';
import { join } from 'node:path';

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
      for (const { name, pid } of stack.supervisor.status()) {
        if (pid === null) continue;
        const bytes = family(pid).reduce((all, member) => all + proportional(member), 0);
        peak.set(name, Math.max(peak.get(name) ?? 0, bytes));
        sum += bytes;
      }
      total = Math.max(total, sum);
    };
    const timer = setInterval(sample, 250);
    const spec = await specOf(api, { ...source, evaluation: data.heldOut }, stack.file.members);
    const { job } = await api.submit({ key: 'bench-memory', spec });
    await untilDone(api, job);
    clearInterval(timer);
    const megabytes = (bytes: number) => Math.round(bytes / 1e6);
    emit({
      peakMegabytes: megabytes(total),
      parts: Object.fromEntries([...peak].map(([name, bytes]) => [name, megabytes(bytes)])),
    });
  });
}

/** A process and everything below it. */
function family(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
    );
    return [pid, ...children.flatMap(family)];
  } catch {
    return [];
  }
}

function proportional(pid: number): number {
  try {
    const kilobytes = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}

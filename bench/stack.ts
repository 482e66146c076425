import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openApi, type Api } from '#cli/api.js';
import { isRoundtableError } from '#core/errors.js';
import { jobFile, toJobSpec, type JobSpec } from '#core/jobSpec.js';
import { finalJobStates, type JobView } from '#core/views.js';
import { recipientOf } from '#local/consortium/keys.js';
import { startStack, type LocalStack, type StackOptions } from '#local/stack.js';

/** For a stack in which nobody trains. */
export const noData = {
  name: 'none',
  load: () => ({ shape: [1], classes: 2, x: new Float32Array(8), y: new Int32Array(8) }),
};

/** A stack of its own in a temporary folder, for the time of one bench. */
export async function withStack<T>(
  options: Omit<StackOptions, 'stateDir'>,
  work: (stack: LocalStack, api: Api) => Promise<T>,
): Promise<T> {
  const stateDir = mkdtempSync(join(tmpdir(), 'roundtable-bench-'));
  const stack = await startStack({ stateDir, ...options });
  const { api, coordinator, keys } = stack.file;
  try {
    return await work(stack, openApi({ url: api, audience: coordinator, keyFile: keys.coordinator }));
  } finally {
    await stack.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

export async function specFor(
  api: Api,
  members: LocalStack['members'],
  model: Uint8Array,
  written: Record<string, unknown>,
): Promise<JobSpec> {
  const file = jobFile.parse({ version: 1, model: 'model.onnx', start: 'model', ...written });
  return toJobSpec(file, {
    model: { sha256: await api.putArtifact(model) },
    evaluation: null,
    recipients: null,
    readers: members.slice(0, 1).map(recipientOf),
  });
}

/** @throws when the job does not end well */
export async function untilDone(api: Api, job: string): Promise<JobView> {
  for (;;) {
    const view = await api.job(job).catch((error: unknown) => {
      if (isRoundtableError(error, 'UNAVAILABLE')) return null;
      throw error;
    });
    if (!view) {
      await pause(500);
      continue;
    }
    if (view.state === 'done') return view;
    if (finalJobStates.includes(view.state))
      throw new Error(`the job ${view.state}: ${view.problem?.message ?? ''}`);
    await pause(200); // Not more often: looking costs the stack time as well.
  }
}

/** A stack that hundreds of runners enter at once may be too busy to say so. */
export async function untilEnrolled(api: Api, runners: number): Promise<void> {
  const enrolled = async () => {
    try {
      return (await api.runners()).length;
    } catch (error) {
      if (isRoundtableError(error, 'UNAVAILABLE')) return 0;
      throw error;
    }
  };
  while ((await enrolled()) < runners) await pause(50 + runners);
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The value below which a share of the sorted list lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import type { RoundView } from '#core/views.js';
import { decodeDataset, encodeDataset, mnistDigits, type Dataset } from './consortium/dataset.js';
import type { LocalStack } from './stack.js';

/** What the demo adds to a stack: data for a job, and a runner that is off for a while. */
export interface DemoData {
  name: string;
  /** Dealt between the runners by label shards. */
  load: () => Dataset;
  /** Held-out data as the coordinator evaluates on it; null when the job's own file or none is used. */
  heldOut: Uint8Array | null;
}

/**
 * Data for a job on the demo consortium: `data/train.safetensors` beside the job file (and
 * `data/held-out.safetensors`, if there is one), or real digits for the contract `mnist`.
 * @throws JOB_INVALID when the job asks for data that is nowhere to be found
 */
export function demoData(contract: string, folder: string): DemoData {
  const train = join(folder, 'data', 'train.safetensors');
  const heldOut = join(folder, 'data', 'held-out.safetensors');
  if (existsSync(train))
    return {
      name: contract,
      load: () => decodeDataset(readFileSync(train), train),
      heldOut: existsSync(heldOut) ? readFileSync(heldOut) : null,
    };
  if (contract === 'mnist') {
    const digits = mnistDigits();
    return { name: contract, load: () => digits.train, heldOut: encodeDataset(digits.heldOut) };
  }
  throw new RoundtableError(
    'JOB_INVALID',
    `The job asks for the data set "${contract}", which the demo's runners do not have. ` +
      `Put samples x and labels y into ${train} (\`roundtable data import\` makes it from CSV) or ask for \`mnist\`.`,
  );
}

/**
 * Shows what absence costs: the last runner's process is stopped while round 1 is added up, and started again
 * while round 3 collects, so that it is off in rounds 2 and 3. Call it with every view of a round.
 * @param hold pauses the job until the runner is back: a process may need longer to start than a round takes
 */
export function absentRunner(
  stack: Pick<LocalStack, 'runners' | 'startRunner' | 'stopRunner'>,
  hold: (signal: 'pause' | 'resume') => Promise<void>,
  onError: (error: unknown) => void,
): (round: RoundView) => void {
  const name = stack.runners.at(-1)?.name;
  let state: 'there' | 'gone' | 'back' = 'there';
  return ({ round, phase }) => {
    if (name === undefined) return;
    const collected = !['selecting', 'collecting'].includes(phase);
    if (state === 'there' && round === 1 && collected) {
      state = 'gone';
      stack.stopRunner(name).catch(onError);
    } else if (state === 'gone' && (round > 3 || (round === 3 && phase !== 'selecting'))) {
      state = 'back';
      Promise.all([hold('pause'), stack.startRunner(name)])
        .finally(() => hold('resume'))
        .catch(onError);
    }
  };
}

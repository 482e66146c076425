import { join } from 'node:path';
import type { TrainAnswer, TrainTask, TrainUpdate } from '#core/messages.js';
import { trainAnswer } from '#core/messages.js';
import { Bandwidth } from '#gpu-runner/bandwidth.js';
import { DataSets } from '#gpu-runner/dataSets.js';
import { DecisionLog } from '#gpu-runner/decisionLog.js';
import { unlockKey } from '#gpu-runner/keystore.js';
import { LocalStatistics } from '#gpu-runner/localStatistics.js';
import type { Log } from '#gpu-runner/log.js';
import { noTraces } from '#services/telemetry/traces.js';
import { ModelCache } from '#gpu-runner/modelCache.js';
import type { AnnouncedKey } from '#gpu-runner/readers.js';
import { readRunnerHome } from '#gpu-runner/runnerHome.js';
import { ReceiptBook } from '#gpu-runner/receiptBook.js';
import { SignedWork } from '#gpu-runner/signedWork.js';
import { revealUpdate } from '#gpu-runner/revealUpdate.js';
import { trainUpdate } from '#gpu-runner/trainUpdate.js';
import { Turns } from '#gpu-runner/turns.js';
import { coordinator, type TestApi } from './api.js';
import { clientOf, makeHome } from './home.js';
import { LightTrainer } from './lightTrainer.js';

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A runner without Temporal: tasks go straight to its activity. */
export async function makeRunner(
  api: TestApi,
  change: Parameters<typeof makeHome>[1] & { announcedKey?: AnnouncedKey } = {},
) {
  const made = await makeHome(api, change);
  const trainer = new LightTrainer();
  const control = new AbortController();
  const doing =
    (work: typeof trainUpdate) =>
    async (task: unknown): Promise<TrainAnswer> => {
      // Everything anew for each task, as after a restart.
      const home = await readRunnerHome(made.folder);
      const { key } = await unlockKey(home.paths, () => Promise.reject(new Error('no passphrase')));
      const stack = clientOf(api, key);
      const models = new ModelCache(home.paths.models, stack);
      const dataSets = new DataSets(home.paths.data, () => undefined);
      const parts = {
        home,
        key,
        stack,
        models,
        bandwidth: new Bandwidth(),
        announcedKey: change.announcedKey ?? null,
        dataSets,
        work: new SignedWork(home.paths.work),
        statistics: new LocalStatistics(home.paths.statistics),
        trainer,
        turns: new Turns(),
        decisions: await DecisionLog.open(home.paths, key),
        receipts: await ReceiptBook.open(home.paths.receipts, () => undefined),
        coordinator,
        log: silent,
        traces: noTraces,
      };
      const answer = await work(parts, task, { signal: control.signal, onProgress: () => undefined });
      return trainAnswer.parse(JSON.parse(JSON.stringify(answer)));
    };
  const [train, reveal] = [doing(trainUpdate), doing(revealUpdate)];
  return { ...made, trainer, control, train, reveal, work: join(made.folder, 'work') };
}

export async function updateOf(answer: Promise<TrainAnswer>): Promise<TrainUpdate> {
  const given = await answer;
  if (given.kind !== 'update') throw new Error(`no update: ${JSON.stringify(given)}`);
  return given;
}

export const storedUpdate = (
  api: TestApi,
  { opening: { job, round } }: TrainTask,
  { runner, file, bytes }: TrainUpdate,
) => api.updates.get({ job, round, runner, file }, bytes);

export const roundFolder = (work: string, { opening }: TrainTask): string =>
  join(work, opening.job.slice(2), String(opening.round));

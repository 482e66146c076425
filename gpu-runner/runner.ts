import { arch, cpus, platform, totalmem } from 'node:os';
import type { Introduction, SeenRequest, TrainAnswer } from '#core/messages.js';
import { DataSets } from './dataSets.js';
import { Enrolment } from './enrolment.js';
import { readEntryKeys } from './entryKeys.js';
import { lockHome } from './homeLock.js';
import type { Log } from './log.js';
import { ModelCache } from './modelCache.js';
import { readRunnerHome } from './runnerHome.js';
import { readRunnerKey } from './runnerKey.js';
import { SignedWork } from './signedWork.js';
import { sayFarewell, signsOfLife } from './signsOfLife.js';
import { StackClient } from './stackClient.js';
import { pollTasks } from './taskWorker.js';
import type { Trainer } from './trainer.js';
import { trainUpdate } from './trainUpdate.js';

export interface Runner {
  /** The runner's address. */
  address: string;
  /** Serves the stack until the signal; resolves within a second or so after it. */
  run(signal: AbortSignal): Promise<void>;
}

/**
 * A runner in its home folder. Several may live in one process, each with a home of its own.
 * @throws HOME_INVALID, KEY_INVALID, KEY_EXPOSED; CONFLICT while another process runs this home
 */
export async function createRunner(options: {
  home: string;
  trainer: Trainer;
  log: Log;
  software: string;
}): Promise<Runner> {
  const { trainer, log, software } = options;
  const home = await readRunnerHome(options.home);
  const key = await readRunnerKey(home.paths.key);
  const keys = await readEntryKeys(home.paths);
  const release = await lockHome(home.paths.lock);
  const stack = new StackClient(home.config.stack, key);
  const enrolment = new Enrolment({
    stack,
    key,
    keys,
    place: home.config.chain,
    coordinator: home.config.stack.coordinator,
    name: home.config.name,
  });
  const dataSets = new DataSets(home.paths.data, (mistake) => log.warn({}, mistake));
  const parts = {
    home,
    key,
    stack,
    dataSets,
    trainer,
    log,
    models: new ModelCache(home.paths.models, stack),
    work: new SignedWork(home.paths.work),
  };
  let seen: SeenRequest = idle;

  // One task at a time, also when Temporal gives one again whose last attempt has not noticed its end yet.
  let last = { control: new AbortController(), done: Promise.resolve<unknown>(null) };
  const train = async (task: unknown, signal: AbortSignal): Promise<TrainAnswer> => {
    last.control.abort();
    await last.done;
    const control = new AbortController();
    seen = { state: 'training', progress: null };
    const answer = trainUpdate(parts, task, {
      signal: AbortSignal.any([signal, control.signal]),
      onProgress: ({ opening: { job, round } }, { step, steps, loss }) => {
        seen = { state: 'training', progress: { job, round, step, steps, loss } };
      },
    }).finally(() => {
      seen = idle;
    });
    last = { control, done: answer.catch(() => null) };
    return answer;
  };

  return {
    address: key.address,
    run: async (signal) => {
      try {
        await Promise.all([
          pollTasks(
            { door: () => enrolment.door(), runner: key.address, train, progress: () => seen.progress, log },
            signal,
          ),
          signsOfLife(
            stack,
            {
              enrolment,
              introduction: () => introduction(home.config.name, software, dataSets),
              state: () => seen,
              member: home.config.member,
              log,
            },
            signal,
          ).then(() => sayFarewell(stack, log)),
        ]);
      } finally {
        release();
      }
    },
  };
}

const idle: SeenRequest = { state: 'idle', progress: null };

async function introduction(name: string, software: string, dataSets: DataSets): Promise<Introduction> {
  const sets = await dataSets.list();
  return { name, software, machine: machine(), data: sets.map(({ contract }) => contract) };
}

/** For people who look at the list of runners. */
function machine(): string {
  const processors = cpus();
  const model = processors[0]?.model.trim() || 'unknown processor';
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${model}, ${processors.length} cores, ${memory} GiB, ${platform()} ${arch()}`.slice(0, 200);
}

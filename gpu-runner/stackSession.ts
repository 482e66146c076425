import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Introduction, SeenRequest } from '#core/entryMessages.js';
import { certificateExpiry, certificateFingerprint } from '#services/certificate.js';
import type { Traces } from '#services/telemetry/traces.js';
import type { Bandwidth } from './bandwidth.js';
import type { DataSets } from './dataSets.js';
import type { DecisionLog } from './decisionLog.js';
import { Enrolment } from './enrolment.js';
import type { EntryKeys } from './entryKeys.js';
import type { LocalStatistics } from './localStatistics.js';
import { withFields, type Log } from './log.js';
import { machineName } from './machineName.js';
import { ModelCache } from './modelCache.js';
import type { AnnouncedKey } from './readers.js';
import type { ReceiptBook } from './receiptBook.js';
import { collectReceipts } from './receiptCollector.js';
import { revealUpdate } from './revealUpdate.js';
import type { RunnerHome } from './runnerHome.js';
import type { RunnerKey } from './runnerKey.js';
import type { SignedWork } from './signedWork.js';
import { sayFarewell, signsOfLife } from './signsOfLife.js';
import { StackClient } from './stackClient.js';
import type { KnownStack } from './stackFinder.js';
import { pollTasks, type TaskHandler } from './taskWorker.js';
import type { Trainer } from './trainer.js';
import type { Transfer } from './trainParts.js';
import { trainUpdate } from './trainUpdate.js';
import type { Turns } from './turns.js';

/** What all sessions of a runner share. */
export interface SharedParts {
  home: RunnerHome;
  key: RunnerKey;
  keys: EntryKeys;
  dataSets: DataSets;
  work: SignedWork;
  statistics: LocalStatistics;
  trainer: Trainer;
  turns: Turns;
  bandwidth: Bandwidth;
  announcedKey: AnnouncedKey | null;
  decisions: DecisionLog;
  receipts: ReceiptBook;
  log: Log;
  traces: Traces;
  software: string;
}

/** One stack, served until the signal: entered, kept informed, its tasks taken. A stack that is away is found again. */
export async function serveStack(shared: SharedParts, stack: KnownStack, signal: AbortSignal): Promise<void> {
  const { home, key, keys, dataSets, decisions, software } = shared;
  const { name, member, chain } = home.config;
  const { coordinator } = stack;
  const log = withFields(shared.log, { stack: coordinator });
  const client = new StackClient(stack, key);
  // Of its own: coordinators could otherwise tell what another one's models are by what is fetched.
  const models = join(home.paths.models, coordinator.slice(2));
  await mkdir(models, { recursive: true });
  const enrolment = new Enrolment({ stack: client, key, keys, place: chain, coordinator, name });
  const parts = {
    ...shared,
    log,
    stack: client,
    coordinator,
    models: new ModelCache(models, client, { throttle: shared.bandwidth.down }),
  };
  let seen: SeenRequest = idle;
  let transfer: Transfer | null = null;

  // One task of a stack at a time, also when Temporal gives one again whose last attempt has not noticed its end yet.
  let last = { control: new AbortController(), done: Promise.resolve<unknown>(null) };
  const oneAtATime =
    (work: typeof trainUpdate): TaskHandler =>
    async (task, taskSignal) => {
      last.control.abort();
      await last.done;
      const control = new AbortController();
      seen = { state: 'training', progress: null };
      const answer = work(parts, task, {
        signal: AbortSignal.any([taskSignal, control.signal]),
        onProgress: ({ opening: { job, round } }, { step, steps, loss }) => {
          seen = { state: 'training', progress: { job, round, step, steps, loss } };
        },
        onTransfer: (now) => {
          transfer = now;
        },
      }).finally(() => {
        seen = idle;
        transfer = null;
      });
      last = { control, done: answer.catch(() => null) };
      return answer;
    };
  const introduction = async (): Promise<Introduction> => {
    const sets = await dataSets.list();
    return { name, software, machine: machineName(), data: sets.map(({ contract }) => contract) };
  };
  const noted = {
    isDue: () => enrolment.isDue(),
    enrol: async (introduced: Introduction, enrolSignal: AbortSignal) => {
      const answer = await enrolment.enrol(introduced, enrolSignal);
      const { certificate } = await enrolment.door();
      const fingerprint = certificateFingerprint(certificate);
      const until = new Date(certificateExpiry(certificate) * 1_000).toISOString();
      const data = introduced.data.map((set) => set.name);
      await decisions.append({
        kind: 'enrolled',
        coordinator,
        member: answer.member,
        fingerprint,
        until,
        data,
      });
      return answer;
    },
  };

  await Promise.all([
    pollTasks(
      {
        door: () => enrolment.door(),
        runner: key.address,
        train: oneAtATime(trainUpdate),
        reveal: oneAtATime(revealUpdate),
        progress: () => transfer ?? seen.progress,
        log,
      },
      signal,
    ),
    signsOfLife(client, { enrolment: noted, introduction, state: () => seen, member, log }, signal).then(() =>
      sayFarewell(client, log),
    ),
    collectReceipts(
      { book: shared.receipts, stack: client, coordinator, domain: chain, decisions, log },
      signal,
    ),
  ]);
}

const idle: SeenRequest = { state: 'idle', progress: null };

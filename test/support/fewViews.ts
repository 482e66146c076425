import type { CreditMessage } from '#core/messages.js';
import type { EpochView, JobView, RoundView, RunnerView, VersionView } from '#core/views.js';
import {
  addressOf,
  coordinator,
  exampleJob,
  exampleModel,
  exampleRound,
  exampleRunner,
  exampleTrigger,
  exampleVersion,
  hashOf,
} from '../services/views.js';
import type { Answers } from './site.js';

/**
 * A small consortium: four runners, one of them off, a job of eight rounds of which so many are done, a fork, an epoch,
 * a letter that could not be processed.
 * @param named what the runners are called, for names that are no names
 * @param now ms since 1970, behind which everything happened
 */
export function fewViews(
  state: 'running' | 'done',
  done = 5,
  named: readonly string[] = [],
  now = Date.now(),
): Answers {
  const at = (ago: number) => new Date(now - ago * 1_000).toISOString();
  const rounds = state === 'done' ? 8 : done;
  const names = ['ward-north', 'clinic-south', 'lab-east', 'practice-west'].map((own, i) => named[i] ?? own);
  const [name = ''] = names;
  const addresses = names.map((_, i) => addressOf(`few ${i}`));
  const [first = '0x', second = '0x', third = '0x', off = '0x'] = addresses;
  const job: JobView = exampleJob({
    job: hashOf('few job'),
    state: state === 'done' ? 'done' : 'running',
    round: rounds,
    createdAt: at(300),
    updatedAt: at(1),
    accuracy: accuracyOf(rounds),
    loss: 0.31,
    version: exampleModel(`few ${rounds}`),
    transactions: [{ purpose: 'create', hash: hashOf('create'), gas: 143_000, block: 9 }],
  });
  const runners: RunnerView[] = addresses.map((runner, i) =>
    exampleRunner({
      name: names[i] ?? '',
      runner,
      member: addressOf(`member ${i % 2}`),
      lastSeen: at(runner === off ? 4_000 : 2),
      connected: runner !== off,
      state: state === 'running' && runner !== off ? 'training' : 'idle',
      machine: '8 cores, NVIDIA L4',
      progress:
        state === 'running' && runner === second
          ? { job: job.job, round: rounds + 1, step: 40, steps: 200, loss: 0.52 }
          : null,
    }),
  );
  const round = (number: number): RoundView => {
    const here = number === 3 ? [first, second] : [first, second, third];
    const isDone = number <= rounds;
    return exampleRound({
      job: job.job,
      round: number,
      seq: isDone ? 9 : 3,
      phase: isDone ? 'done' : 'collecting',
      startedAt: at(isDone ? (rounds - number + 1) * 30 : 4),
      updatedAt: at(isDone ? (rounds - number) * 30 : 1),
      accuracy: isDone ? accuracyOf(number) : null,
      loss: isDone ? 2 / (number + 1) : null,
      participants: here.map((runner) => ({
        runner,
        state: isDone || runner === first ? ('done' as const) : ('asked' as const),
        samples: isDone ? 600 : null,
        loss: isDone ? 0.4 : null,
        seconds: isDone ? 3.2 : 2.9,
        bytes: isDone ? 24_600 : null,
      })),
      missing: [
        { runner: off, code: 'offline', reason: 'last seen 67 min ago' },
        ...(number === 3
          ? [
              {
                runner: third,
                code: 'late' as const,
                reason: 'no update within 12.0 s; the round went on without it',
              },
            ]
          : []),
      ],
      seconds: isDone
        ? { select: 0.1, collect: 4.2, aggregate: 0.3, evaluate: 1.1, archive: 0.9, anchor: 1.6, total: 8.2 }
        : { select: 0.1 },
      openHash: hashOf(`few open ${number}`),
      version: isDone ? exampleModel(`few ${number}`) : null,
      rootHeader: isDone ? hashOf(`few header ${number}`) : null,
      archive: isDone
        ? { model: 'a'.repeat(43), manifest: 'b'.repeat(43), manifestHash: hashOf(`few manifest ${number}`) }
        : null,
      transactions: isDone
        ? [
            { purpose: 'open', hash: hashOf(`few open ${number}`), gas: 64_000, block: 10 + 2 * number },
            { purpose: 'close', hash: hashOf(`few close ${number}`), gas: 91_000, block: 11 + 2 * number },
          ]
        : [],
    });
  };
  const versions: VersionView[] = Array.from({ length: rounds + 1 }, (_, i) =>
    exampleVersion(i, {
      job: job.job,
      updatedAt: at((rounds - i) * 30),
      accuracy: i === 0 ? 0.08 : accuracyOf(i),
      model: exampleModel(`few ${i}`),
      parent: i === 0 ? null : exampleModel(`few ${i - 1}`).versionId,
    }),
  );
  versions.push(
    exampleVersion(3, {
      job: hashOf('fork'),
      round: 1,
      updatedAt: at(20),
      model: exampleModel('fork'),
      parent: exampleModel('few 2').versionId,
    }),
  );
  const credits: CreditMessage[] = Array.from({ length: rounds }, (_, i) => i + 1).flatMap((number) =>
    (number === 3 ? [first, second] : [first, second, third]).map((runner) => ({
      type: 'credit' as const,
      payer: coordinator,
      job: job.job,
      round: number,
      runner,
      units: '600',
      amount: '41666666666666666666',
      manifestHash: hashOf(`few manifest ${number}`),
    })),
  );
  const epoch: EpochView = {
    seq: 3,
    updatedAt: at(60),
    payer: coordinator,
    epoch: 1,
    state: 'effective',
    root: hashOf('epoch root'),
    total: '125000000000000000000',
    leaves: 3,
    manifestHash: hashOf('epoch manifest'),
    archive: 'c'.repeat(43),
    file: hashOf('epoch file'),
    transaction: { purpose: 'publish', hash: hashOf('publish'), gas: 101_527, block: 30 },
  };
  return {
    jobs: [job],
    // The API lists the round under way as well.
    round,
    versions,
    runners,
    triggers: [exampleTrigger({ createdAt: at(9_000) })],
    queues: [
      {
        queue: 'jobs',
        waiting: 2,
        dead: 1,
        letters: [
          {
            id: 'message-1',
            since: at(500),
            message: `{"type":"job","job":"${name}"}`,
            deliveries: 5,
            code: 'NOT_FOUND',
            reason: `The queue names a job which the table does not have: ${name}`,
          },
        ],
      },
      { queue: 'credits', waiting: 0, dead: 0, letters: [] },
    ],
    epochs: [epoch],
    credits,
  };
}

const accuracyOf = (round: number): number => 0.95 - 0.7 / (round + 0.5);

import type { JobView, RoundView, RunnerView, VersionView } from '#core/views.js';
import {
  addressOf,
  exampleJob,
  exampleModel,
  exampleRound,
  exampleRunner,
  exampleVersion,
  hashOf,
} from '../services/views.js';
import { nobody, type Answers } from './site.js';

/** A consortium that has been at it for long: as many rounds, runners and versions as are asked for. */
export function manyViews(size: {
  rounds: number;
  runners: number;
  versions: number;
  asked: number;
}): Answers {
  const now = Date.now();
  const at = (ago: number) => new Date(now - ago * 1_000).toISOString();
  const addresses = Array.from({ length: size.runners }, (_, i) => addressOf(`runner ${i}`));
  const runners: RunnerView[] = addresses.map((runner, i) =>
    exampleRunner({
      name: `site-${i + 1}`,
      runner,
      lastSeen: at(i % 50 === 0 ? 600 : 3),
      connected: true,
      state: i % 7 === 0 ? 'training' : 'idle',
    }),
  );
  const job: JobView = exampleJob({
    job: hashOf('long job'),
    state: 'paused',
    round: size.rounds,
    createdAt: at(size.rounds * 30),
    accuracy: 0.97,
    loss: 0.09,
  });
  job.spec = { ...job.spec, rounds: 2 * size.rounds };
  const round = (number: number): RoundView => {
    const asked = Array.from(
      { length: size.asked },
      (_, i) => addresses[(number + i) % size.runners] ?? '0x',
    );
    const missing = number % 9 === 0 ? asked.slice(0, 2) : [];
    return {
      ...exampleRound({ job: job.job, round: number, seq: 9, phase: 'done' }),
      startedAt: at((size.rounds - number) * 30),
      updatedAt: at((size.rounds - number) * 30),
      accuracy: 0.98 - 0.6 * Math.exp(-number / (size.rounds / 6)),
      loss: 0.05 + 2 * Math.exp(-number / (size.rounds / 6)),
      participants: asked.map((runner) => ({
        runner,
        state: missing.includes(runner) ? ('missing' as const) : ('done' as const),
        samples: 600,
        loss: 0.2,
        seconds: 3.1,
        bytes: 24_000,
      })),
      missing: missing.map((runner) => ({
        runner,
        code: 'late' as const,
        reason: 'no update within 12.0 s',
      })),
      seconds: {
        select: 0.1,
        collect: 8,
        aggregate: 0.4,
        evaluate: 1.1,
        archive: 0.8,
        anchor: 1.5,
        total: 12,
      },
      version: exampleModel(`version ${number}`),
      transactions: [
        { purpose: 'open', hash: hashOf(`open ${number}`), gas: 64_000, block: 2 * number },
        { purpose: 'close', hash: hashOf(`close ${number}`), gas: 91_000, block: 2 * number + 1 },
      ],
    };
  };
  const versions: VersionView[] = Array.from({ length: size.versions }, (_, i) =>
    exampleVersion(i, {
      job: job.job,
      round: i,
      updatedAt: at((size.versions - i) * 30),
      model: exampleModel(`version ${i}`),
      // Every twentieth begins a fork of a version further back.
      parent: i === 0 ? null : exampleModel(`version ${i % 20 === 0 ? Math.max(0, i - 7) : i - 1}`).versionId,
    }),
  );
  return { ...nobody, jobs: [job], round, versions, runners };
}

import { signal, type Signal } from '@preact/signals';
import type { RoundView, VersionView } from '#core/views.js';
import { config, sourcesOf } from './config.js';
import { finished, isFalse, isTrue, verify } from './verification.js';

/** Which rounds of a job this browser has compared with the chain, and how that ended. */
export interface RoundChecks {
  verdicts: ReadonlyMap<number, boolean>;
  /** Why nothing more can be checked. */
  stopped: string | null;
}

const jobs = new Map<string, Signal<RoundChecks>>();
const running = new Set<string>();

export function roundChecks(job: string): Signal<RoundChecks> {
  let found = jobs.get(job);
  if (!found) jobs.set(job, (found = signal<RoundChecks>({ verdicts: new Map(), stopped: null })));
  return found;
}

/** Checks, one after the other, what is shown and has not been checked yet: of a long job, where somebody looks. */
export async function checkRounds(
  job: string,
  rounds: readonly RoundView[],
  versions: readonly VersionView[],
): Promise<void> {
  const settings = config.peek();
  if (!settings || running.has(job)) return;
  running.add(job);
  const checks = roundChecks(job);
  const views = new Map(versions.map((version) => [version.model.versionId, version]));
  try {
    for (const said of rounds) {
      const { round, phase, version } = said;
      const { verdicts, stopped } = checks.peek();
      if (stopped !== null) return;
      if (phase !== 'done' || !version || verdicts.has(round)) continue;
      const view = views.get(version.versionId);
      // The row of the version follows that of its round within moments; then it is checked with it.
      if (!view) continue;
      const result = await finished(
        verify(sourcesOf(settings), {
          kind: 'version',
          version: version.versionId,
          said: { version: view, round: said, job: null, credits: [] },
          flip: false,
        }),
      );
      if (isTrue(result) || isFalse(result))
        checks.value = {
          stopped: null,
          verdicts: new Map(checks.peek().verdicts).set(round, isTrue(result)),
        };
      else checks.value = { ...checks.peek(), stopped: result.reason ?? 'nothing was compared' };
    }
  } finally {
    running.delete(job);
  }
}

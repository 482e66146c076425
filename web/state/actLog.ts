import type { ActRecord, SignedAct } from '#core/acts.js';

/** An act with what came of it, which the log has as a record of its own. */
export interface LoggedAct {
  seq: number;
  at: string;
  signer: string;
  statement: SignedAct['statement'];
  /** Null while nothing is known of it. */
  outcome: { ok: boolean; words: string } | null;
}

/** Oldest first. @param target a job, runner or queue; all of them if left out */
export function actsOf(records: readonly ActRecord[], target?: string): LoggedAct[] {
  const outcomes = new Map<number, LoggedAct['outcome']>();
  for (const { entry } of records)
    if (entry.kind !== 'admitted')
      outcomes.set(entry.act, { ok: entry.kind === 'done', words: entry.outcome });
  return records.flatMap(({ seq, at, entry }) =>
    entry.kind === 'admitted' && (target === undefined || entry.statement.target === target)
      ? [{ seq, at, signer: entry.signer, statement: entry.statement, outcome: outcomes.get(seq) ?? null }]
      : [],
  );
}

/** The last thing that was done to a target and did not fail. */
export const lastAct = (records: readonly ActRecord[], target: string): LoggedAct | undefined =>
  actsOf(records, target).findLast(({ outcome }) => outcome?.ok !== false);

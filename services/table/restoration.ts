import type { CreditMessage } from '#core/messages.js';
import {
  epochView,
  finalJobStates,
  jobView,
  roundView,
  versionView,
  type EpochView,
  type JobView,
  type RoundView,
  type VersionView,
} from '#core/views.js';
import { creditMessage } from '#core/messages.js';
import type { Item, Items } from './items.js';
import { decodeView, encodeView } from './views.js';
import { jobKey, listed, roundKey, waitingAfter } from './jobs.js';
import { creditKey, epochKey, recount, writeCredit } from './rewards.js';
import { latestKey, placeKey, versionKey, versionTable } from './versions.js';

/** A row as chain and archive tell it. */
export type Projection =
  | { kind: 'epoch'; view: EpochView }
  | { kind: 'credit'; view: CreditMessage }
  | { kind: 'version'; view: VersionView }
  | { kind: 'round'; view: RoundView }
  | { kind: 'job'; view: JobView };

/** What the table has in a projection's place. `newer`: what chain and archive do not know yet, or something else. */
export type Standing = 'missing' | 'same' | 'older' | 'newer';

/** For a table that was lost, or brought back from an old backup. Every method can throw UNAVAILABLE. */
export interface Restoration {
  /** Numbers and times of writes do not count: only their writers have them. */
  compare(projection: Projection): Promise<Standing>;
  /** Puts it there, whatever is there. Harmless when repeated. */
  restore(projection: Projection): Promise<void>;
  /** After all credits: the sums that are kept of them, of which a part may have been lost, follow from them again. */
  recount(payer: string): Promise<void>;
}

export function restoration(items: Items): Restoration {
  const versions = versionTable(items);

  /** Among writers that count, the next number: what a workflow writes later stays later. */
  async function replace(item: Item, view: { seq: number }): Promise<void> {
    const before = await items.get(item);
    const seq = Math.max(view.seq, Number(before?.['seq'] ?? -1) + 1);
    await items.project({ ...item, seq, view: encodeView({ ...view, seq }) });
  }

  async function replaceCredit(view: CreditMessage): Promise<void> {
    // Another writer's turn; nobody else restores at the same time.
    while (!(await writeCredit(items, view, await items.get(creditKey(view)))));
  }

  return {
    recount: (payer) => recount(items, payer),

    async compare({ kind, view }) {
      switch (kind) {
        case 'epoch':
          return compareEpochs(decoded(epochView, await items.get(epochKey(view))), view);
        case 'credit':
          return compareCredits(decoded(creditMessage, await items.get(creditKey(view))), view);
        case 'version':
          return compareVersions(view, {
            place: decoded(versionView, await items.get(placeKey(view))),
            byId: await items.get(versionKey(view.model.versionId)),
            latest: await items.get(latestKey(view.lineage)),
          });
        case 'round':
          return compareRounds(decoded(roundView, await items.get(roundKey(view))), view);
        case 'job': {
          const item = await items.get(jobKey(view.job));
          const settledEpoch = item?.['settledEpoch'] ?? null;
          return compareJobs(item && decodeView(jobView, item, { settledEpoch }), view);
        }
      }
    },

    async restore({ kind, view }) {
      switch (kind) {
        case 'epoch':
          return replace(epochKey(view), view);
        case 'credit':
          return replaceCredit(view);
        case 'version':
          return versions.putVersion(view);
        case 'round':
          return replace(roundKey(view), view);
        case 'job': {
          const { settledEpoch } = view;
          const waiting = settledEpoch === null ? waitingAfter(view) : null;
          const attributes = {
            ...jobKey(view.job),
            ...listed(view),
            ...(waiting && { waiting, since: view.updatedAt }),
            ...(settledEpoch !== null && { settledEpoch }),
          };
          // In one write: a settled job must not seem to wait for its settlement even for a moment.
          return replace(attributes, { ...view, settledEpoch: null } as JobView);
        }
      }
    },
  };
}

const progress = ({ round, state, settledEpoch }: JobView) => [
  round,
  finalJobStates.includes(state) ? 1 : 0,
  settledEpoch ?? 0,
];
const done = ({ phase }: RoundView) => [phase === 'done' ? 1 : 0];
const paidState = ({ state }: EpochView) => [epochView.shape.state.options.indexOf(state)];

function compareJobs(there: JobView | null, view: JobView): Standing {
  if (!there) return 'missing';
  const further = order(progress(there), progress(view));
  if (further !== 'same') return further;
  return there.version?.versionId === view.version?.versionId &&
    there.archive?.manifestHash === view.archive?.manifestHash
    ? 'same'
    : 'newer';
}

function compareRounds(there: RoundView | null, view: RoundView): Standing {
  if (!there) return 'missing';
  const further = order(done(there), done(view));
  if (further !== 'same' || view.phase !== 'done') return further;
  return there.archive?.manifestHash === view.archive?.manifestHash ? 'same' : 'newer';
}

function compareEpochs(there: EpochView | null, view: EpochView): Standing {
  if (!there) return 'missing';
  return there.root === view.root ? order(paidState(there), paidState(view)) : 'newer';
}

function compareCredits(there: CreditMessage | null, view: CreditMessage): Standing {
  if (!there) return 'missing';
  return there.amount === view.amount && there.manifestHash === view.manifestHash ? 'same' : 'newer';
}

/** A version has three rows; a restoration that was interrupted may have written one. */
function compareVersions(
  view: VersionView,
  there: { place: VersionView | null; byId: Item | null; latest: Item | null },
): Standing {
  const { place, byId, latest } = there;
  if (!place || !byId || !latest) return 'missing';
  if (
    place.model.versionId !== view.model.versionId ||
    place.archive.manifestHash !== view.archive.manifestHash
  )
    return 'newer';
  const led =
    latest['job'] === view.job
      ? Number(latest['number']) >= view.number
      : String(latest['at']) >= view.updatedAt;
  return led ? 'same' : 'older';
}

/** The first difference decides: the table's being smaller makes it older. */
function order(there: readonly number[], here: readonly number[]): 'same' | 'older' | 'newer' {
  for (const [index, value] of there.entries()) {
    const other = here[index] ?? 0;
    if (value !== other) return value < other ? 'older' : 'newer';
  }
  return 'same';
}

const decoded = <T>(schema: Parameters<typeof decodeView>[0], item: Item | null): T | null =>
  item && (decodeView(schema, item) as T);

import type { RunnerId } from '#core/hex.js';
import type { SeenRequest, Suspension } from '#core/entryMessages.js';
import { runnerView, type RunnerView } from '#core/views.js';
import type { Item, Items } from './items.js';
import { decodeView, encodeView } from './views.js';

/**
 * Enrolled runners, what they say of themselves, and what the gatekeepers see of them. The table counts `seq` for
 * them: their rows have many writers.
 */
export interface RunnerTable {
  /** Enrolling again replaces what the runner says of itself; `enrolledAt` stays. */
  enrolRunner(view: RunnerView): Promise<void>;
  /** False: never enrolled. A sign older than the last one is dropped. */
  seenRunner(runner: RunnerId, seen: SeenRequest, at: string): Promise<boolean>;
  /**
   * A gatekeeper has the runner's connection.
   * @param door which gatekeeper
   * @returns false: never enrolled
   */
  runnerHere(runner: RunnerId, door: string, at: string): Promise<boolean>;
  /** The connection is gone; nothing happens when another gatekeeper has one by now. */
  runnerGone(runner: RunnerId, door: string): Promise<void>;
  /** It gets no new rounds here, or does again: null. False: never enrolled. */
  drainRunner(runner: RunnerId, drain: Suspension | null): Promise<boolean>;
  getRunner(runner: RunnerId): Promise<RunnerView | null>;
  /** Ascending by address. */
  listRunners(): Promise<RunnerView[]>;
}

export function runnerTable(items: Items): RunnerTable {
  return {
    async enrolRunner(view) {
      await items.update(listedRunner(view.runner), {
        expression:
          'SET #view = :view, #enrolledAt = if_not_exists(#enrolledAt, :enrolledAt), #seen = :seen, #saidAt = :saidAt ADD #seq :one',
        values: {
          ':view': encodeView(view),
          ':enrolledAt': view.enrolledAt,
          ':seen': encodeView({ state: view.state, progress: view.progress }),
          ':saidAt': view.lastSeen,
          ':one': 1,
        },
      });
    },

    async seenRunner(runner, seen, at) {
      const { updated, existing } = await items.update(listedRunner(runner), {
        expression: 'SET #seen = :seen, #saidAt = :at ADD #seq :one',
        condition: 'attribute_exists(pk) AND #saidAt <= :at',
        values: { ':seen': encodeView(seen), ':at': at, ':one': 1 },
      });
      return updated || existing !== null;
    },

    async runnerHere(runner, door, at) {
      const { updated } = await items.update(listedRunner(runner), {
        expression: 'SET #door = :door, #doorAt = :at ADD #seq :one',
        condition: 'attribute_exists(pk)',
        values: { ':door': door, ':at': at, ':one': 1 },
      });
      return updated;
    },

    async runnerGone(runner, door) {
      await items.update(listedRunner(runner), {
        expression: 'SET #door = :nowhere ADD #seq :one',
        condition: '#door = :door',
        values: { ':nowhere': '', ':door': door, ':one': 1 },
      });
    },

    async drainRunner(runner, drain) {
      const { updated } = await items.update(listedRunner(runner), {
        expression: 'SET #drain = :drain ADD #seq :one',
        condition: 'attribute_exists(pk)',
        values: { ':drain': drain && encodeView(drain), ':one': 1 },
      });
      return updated;
    },

    async getRunner(runner) {
      const item = await items.get(listedRunner(runner));
      return item && decodeRunner(item);
    },

    async listRunners() {
      return (await items.query('runners')).map(decodeRunner);
    },
  };
}

/** Key of the row that lists show. */
export const listedRunner = (runner: RunnerId) => ({ pk: 'runners', sk: runner });

function decodeRunner(item: Item): RunnerView {
  const seen = JSON.parse(String(item['seen'])) as SeenRequest;
  // Two clocks write, and each has its own attribute, so that neither can hide what the other one says.
  const lastSeen = [item['saidAt'], item['doorAt']].map((time) => String(time ?? '')).sort()[1];
  return decodeView(runnerView, item, {
    ...seen,
    connected: typeof item['door'] === 'string' && item['door'] !== '',
    seq: item['seq'],
    enrolledAt: item['enrolledAt'],
    lastSeen,
    updatedAt: lastSeen,
    suspension: writtenBy(item['suspension']),
    drain: writtenBy(item['drain']),
  });
}

const writtenBy = (value: unknown): unknown => (typeof value === 'string' ? JSON.parse(value) : null);

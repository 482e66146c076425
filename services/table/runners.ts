import type { RunnerId } from '#core/hex.js';
import type { SeenRequest } from '#core/messages.js';
import { runnerView, type RunnerView } from '#core/views.js';
import { decodeView, encodeView, type Item, type Items } from './items.js';

/** Enrolled runners and their signs of life. The table counts `seq` for them: their rows have many writers. */
export interface RunnerTable {
  /** Enrolling again replaces what the runner says of itself; `enrolledAt` stays. */
  enrolRunner(view: RunnerView): Promise<void>;
  /** False: never enrolled. A sign older than the last one is dropped. */
  seenRunner(runner: RunnerId, seen: SeenRequest, at: string): Promise<boolean>;
  getRunner(runner: RunnerId): Promise<RunnerView | null>;
  /** Ascending by address. */
  listRunners(): Promise<RunnerView[]>;
}

export function runnerTable(items: Items): RunnerTable {
  return {
    async enrolRunner(view) {
      await items.update(listedRunner(view.runner), {
        expression:
          'SET #view = :view, #enrolledAt = if_not_exists(#enrolledAt, :enrolledAt), #seen = :seen, #lastSeen = :lastSeen ADD #seq :one',
        values: {
          ':view': encodeView(view),
          ':enrolledAt': view.enrolledAt,
          ':seen': encodeView({ state: view.state, progress: view.progress }),
          ':lastSeen': view.lastSeen,
          ':one': 1,
        },
      });
    },

    async seenRunner(runner, seen, at) {
      const { updated, existing } = await items.update(listedRunner(runner), {
        expression: 'SET #seen = :seen, #lastSeen = :at ADD #seq :one',
        condition: 'attribute_exists(pk) AND #lastSeen <= :at',
        values: { ':seen': encodeView(seen), ':at': at, ':one': 1 },
      });
      return updated || existing !== null;
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
  return decodeView(runnerView, item, {
    ...seen,
    seq: item['seq'],
    enrolledAt: item['enrolledAt'],
    lastSeen: item['lastSeen'],
    updatedAt: item['lastSeen'],
    suspension: typeof item['suspension'] === 'string' ? (JSON.parse(item['suspension']) as unknown) : null,
  });
}

import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '#services/log.js';
import type { RunnerId } from '#core/hex.js';
import { seenEverySeconds } from '#core/entryMessages.js';
import type { RunnerTable } from '#services/table/runners.js';

interface Here {
  /** When the table is told next, by performance.now(). */
  dueAt: number;
  /** Its last session has ended. */
  lost: boolean;
}

/**
 * Tells the table which runners are here, for the selection of rounds: at once when one comes, every 15 s while it
 * stays, and when it has been gone for two seconds. What the table does not take is told again a second later.
 */
export class Presence {
  readonly #here = new Map<RunnerId, Here>();
  #complained = false;

  /** @param door this gatekeeper among several: a runner that went to another one is not reported as gone */
  constructor(
    private readonly table: Pick<RunnerTable, 'runnerHere' | 'runnerGone'>,
    private readonly door: string,
    private readonly log: Logger,
  ) {}

  /** The runner polls, answers or reports. */
  heard(runner: RunnerId): void {
    const here = this.#here.get(runner);
    if (!here) {
      const added: Here = { dueAt: 0, lost: false };
      this.#here.set(runner, added);
      void this.#tell(runner, added);
    } else if (here.lost) {
      here.lost = false;
      here.dueAt = 0;
    }
  }

  /** The runner's last session has ended. */
  lost(runner: RunnerId): void {
    const here = this.#here.get(runner);
    if (!here) return;
    here.lost = true;
    here.dueAt = performance.now() + patienceMs;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const now = performance.now();
      const due = [...this.#here].filter(([, { dueAt }]) => now >= dueAt);
      for (let next = 0; next < due.length; next += atOnce)
        await Promise.all(due.slice(next, next + atOnce).map(([runner, here]) => this.#tell(runner, here)));
      await delay(tickMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #tell(runner: RunnerId, here: Here): Promise<void> {
    here.dueAt = performance.now() + retryMs;
    try {
      if (here.lost) {
        await this.table.runnerGone(runner, this.door);
        // It may have come back while this was written.
        if (here.lost) this.#here.delete(runner);
        else here.dueAt = 0;
      } else if (await this.table.runnerHere(runner, this.door, new Date().toISOString())) {
        // If it was lost meanwhile, that is told when its time has come.
        if (!here.lost) here.dueAt = performance.now() + seenEverySeconds * 1_000;
      }
      if (this.#complained) this.log.info({}, 'the table takes signs of life again');
      this.#complained = false;
    } catch (error) {
      if (!this.#complained) this.log.warn({ err: error }, 'the table does not take signs of life');
      this.#complained = true;
    }
  }
}

const tickMs = 250;
const retryMs = 1_000;
/** Within this a runner that lost its connection has another one. */
const patienceMs = 2_000;
const atOnce = 50;

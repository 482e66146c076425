import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** What contenders tell of themselves, a line of JSON each, in the file PEERS_EVENTS. `at` in seconds since 1970. */
export type Event = { readonly at: number } & (
  | { readonly event: 'ready' | 'working' | 'done' }
  | { readonly event: 'round'; readonly round: number; readonly accuracy: number | null }
  | { readonly event: 'training'; readonly client: number; readonly round: number }
  | { readonly event: 'verified'; readonly checks: number; readonly seconds: number }
  | ({ readonly event: 'recovery' } & Recovery)
  | ({ readonly event: 'spent' } & Spent)
);

/** Where a stack's work went, in seconds. */
export interface Spent {
  /** Processor time of each part, from the order to the last result; the auditor is not among them. */
  readonly processor: Readonly<Record<string, number>>;
  /** Each phase of a round: median of all rounds but the first. */
  readonly round: Readonly<Record<string, number>>;
}

/** How a run went on after a process was killed with kill -9 and started again at once. */
export interface Recovery {
  readonly killed: 'server' | 'node';
  /** From the kill until the interrupted round was complete; null when it never was. */
  readonly seconds: number | null;
  /** The same round undisturbed: median of the others, from one round's end to the next. */
  readonly undisturbed: number | null;
  /** In words: what was gone. */
  readonly lost: string;
}

type Told = Event extends infer E ? (E extends Event ? Omit<E, 'at'> : never) : never;

export function tell(path: string, event: Told, at = Date.now() / 1000): void {
  appendFileSync(path, JSON.stringify({ ...event, at }) + '\n');
}

export function readEvents(path: string): Event[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Event);
}

/** Waits until the events say so. @returns false when the time is over */
export async function untilEvents(
  path: string,
  said: (events: Event[]) => boolean,
  seconds: number,
): Promise<boolean> {
  for (const end = Date.now() + 1000 * seconds; Date.now() < end; await sleep(50))
    if (said(readEvents(path))) return true;
  return false;
}

/** When each round was complete, by its number. */
export function roundEnds(events: readonly Event[]): Map<number, number> {
  return new Map(events.flatMap((event) => (event.event === 'round' ? [[event.round, event.at]] : [])));
}

/** Seconds from each round's end to the next one's, by the later round. */
export function roundSeconds(events: readonly Event[]): Map<number, number> {
  const ends = roundEnds(events);
  return new Map(
    [...ends].flatMap(([round, at]) => {
      const before = ends.get(round - 1);
      return before === undefined ? [] : [[round, at - before]];
    }),
  );
}

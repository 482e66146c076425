/** How versions are drawn: one row each, newest first, in lanes as `git log --graph` would draw them. */
export interface LineageRow<T> {
  version: T;
  /** 0 is the line of the newest version. */
  lane: number;
  /** Lanes that run through this row, or begin or end at it. */
  passing: number[];
  /** Lanes that end here because this version is their parent as well. */
  joined: number[];
  /** Nothing in the list descends from it. */
  tip: boolean;
  /** Its line goes on to its parent. */
  down: boolean;
  /** The lane of the parent, where it lies in another one. */
  forkTo: number | null;
}

/**
 * Lanes in one pass: each version goes where its newest child put its parent's line. O(versions × open lanes).
 * A parent outside the list ends its line.
 * @param newestFirst every version before its parent
 * @param main the version whose line has lane 0; the first one unless told
 */
export function lineageRows<T>(
  newestFirst: readonly T[],
  idOf: (version: T) => string,
  parentOf: (version: T) => string | null,
  main?: string,
): LineageRow<T>[] {
  /** Per lane, the version that its line leads down to. */
  const open: (string | null)[] = [main ?? null];
  /** Lane 0 is kept for its line, which has not begun yet. */
  let isKept = main !== undefined;
  const here = new Set(newestFirst.map(idOf));
  return newestFirst.map((version) => {
    const id = idOf(version);
    const waiting = open.flatMap((next, lane) => (next === id ? [lane] : []));
    const lane = waiting[0] ?? firstFree(open);
    const isHere = (next: string | null, at: number) =>
      at === lane || (next !== null && !(isKept && at === 0));
    const passing = open.flatMap((next, at) => (isHere(next, at) ? [at] : []));
    if (!passing.includes(lane)) passing.push(lane);
    const tip = waiting.length === 0 || (isKept && waiting.length === 1 && lane === 0);
    if (lane === 0) isKept = false;
    for (const ended of waiting) open[ended] = null;
    const known = parentOf(version);
    const parent = known !== null && here.has(known) ? known : null;
    open[lane] = parent;
    // A line that another child of this parent has begun further left is joined there.
    const elsewhere = parent === null ? -1 : open.findIndex((next, at) => next === parent && at !== lane);
    const joins = elsewhere >= 0 && elsewhere < lane;
    if (joins) open[lane] = null;
    const joined = waiting.filter((at) => at !== lane);
    passing.sort((a, b) => a - b);
    return { version, lane, passing, joined, tip, down: parent !== null, forkTo: joins ? elsewhere : null };
  });
}

function firstFree(open: readonly (string | null)[]): number {
  const free = open.indexOf(null);
  return free < 0 ? open.length : free;
}

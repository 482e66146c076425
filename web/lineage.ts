import type { VersionView } from '#core/views.js';

/** One line of a lineage, newest first, as `git log --graph` would draw it. */
export interface LineageRow {
  version: VersionView;
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
 */
export function lineageRows(versions: readonly VersionView[]): LineageRow[] {
  const rows = [...versions].sort((a, b) => b.number - a.number || b.updatedAt.localeCompare(a.updatedAt));
  /** Per lane, the version that its line leads down to. */
  const open: (string | null)[] = [];
  const here = new Set(rows.map(({ model }) => model.versionId));
  return rows.map((version) => {
    const id = version.model.versionId;
    const waiting = open.flatMap((next, lane) => (next === id ? [lane] : []));
    const lane = waiting[0] ?? firstFree(open);
    const passing = open.flatMap((next, at) => (next === null && at !== lane ? [] : [at]));
    if (!passing.includes(lane)) passing.push(lane);
    for (const ended of waiting) open[ended] = null;
    const parent = version.parent !== null && here.has(version.parent) ? version.parent : null;
    open[lane] = parent;
    // A line that another child of this parent has begun further left is joined there.
    const elsewhere = parent === null ? -1 : open.findIndex((next, at) => next === parent && at !== lane);
    const joins = elsewhere >= 0 && elsewhere < lane;
    if (joins) open[lane] = null;
    const joined = waiting.filter((at) => at !== lane);
    passing.sort((a, b) => a - b);
    const tip = waiting.length === 0;
    return { version, lane, passing, joined, tip, down: parent !== null, forkTo: joins ? elsewhere : null };
  });
}

function firstFree(open: readonly (string | null)[]): number {
  const free = open.indexOf(null);
  return free < 0 ? open.length : free;
}

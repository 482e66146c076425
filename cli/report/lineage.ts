import type { VersionView } from '#core/views.js';
import { percent } from '../terminal/format.js';
import { flow, short } from '../terminal/text.js';
import { glyphs, paint, type Theme } from '../terminal/theme.js';

/**
 * The tree of versions as text, newest first, the main line (that which leads to the newest version) leftmost
 * and forks indented beside it.
 */
export function lineageLines(theme: Theme, versions: readonly VersionView[]): string[] {
  const byId = new Map(versions.map((version) => [version.model.versionId, version]));
  const newestFirst = [...versions].sort(
    (a, b) => b.number - a.number || b.updatedAt.localeCompare(a.updatedAt),
  );
  const lanes = lanesOf(newestFirst, byId);
  const { dot, ring, line } = glyphs(theme);
  const numbers = String(Math.max(0, ...versions.map(({ number }) => number))).length;
  const rounds = String(Math.max(0, ...versions.map(({ round }) => round))).length;
  return newestFirst.flatMap((version, index) => {
    const lane = lanes.get(version.model.versionId) ?? 0;
    const parent = version.parent === null ? undefined : byId.get(version.parent);
    const isGenesis = version.round === 0;
    const gutter = lanesBeside(newestFirst, lanes, index, lane)
      .map((open) => (open ? `${line} ` : '  '))
      .join('');
    const mark = paint(theme, isGenesis ? 'dim' : 'cyan', isGenesis ? ring : dot);
    const facts = [
      `${paint(theme, 'bold', String(version.number).padStart(numbers))}  ${short(theme, version.model.versionId)}`,
      percent(version.accuracy).padStart(6),
      (isGenesis ? 'start' : `round ${version.round}`).padEnd(6 + rounds),
      ...(lane > 0 && parent ? [`from ${parent.number}`] : []),
      paint(
        theme,
        'dim',
        `archive ${theme.columns >= 110 ? version.archive.model : short(theme, version.archive.model, 8, 4)}`,
      ),
    ];
    const [first = '', ...more] = flow({ ...theme, columns: theme.columns - gutter.length - 4 }, facts, 0);
    return [`  ${gutter}${mark} ${first}`, ...more.map((text) => `  ${gutter}  ${text}`)];
  });
}

/** Lane 0 is the line of the newest version; every other end begins a lane that reaches to where it forked off. */
function lanesOf(
  newestFirst: readonly VersionView[],
  byId: ReadonlyMap<string, VersionView>,
): Map<string, number> {
  const lanes = new Map<string, number>();
  let next = 0;
  for (const tip of newestFirst) {
    if (lanes.has(tip.model.versionId)) continue;
    for (let version: VersionView | undefined = tip; version && !lanes.has(version.model.versionId);) {
      lanes.set(version.model.versionId, next);
      version = version.parent === null ? undefined : byId.get(version.parent);
    }
    next += 1;
  }
  return lanes;
}

/** For each lane left of a version's own: does a line run past it? */
function lanesBeside(
  newestFirst: readonly VersionView[],
  lanes: ReadonlyMap<string, number>,
  index: number,
  lane: number,
): boolean[] {
  return Array.from({ length: lane }, (_, other) => {
    const inLane = (version: VersionView) => lanes.get(version.model.versionId) === other;
    return newestFirst.slice(0, index).some(inLane) && newestFirst.slice(index + 1).some(inLane);
  });
}

import type { LineageVersion } from '#audit/index.js';
import { lineageRows, type LineageRow } from '#core/lineage.js';
import type { VersionView } from '#core/views.js';
import { percent } from '../terminal/format.js';
import { flow, short, width } from '../terminal/text.js';
import { glyphs, paint, type Theme } from '../terminal/theme.js';

/** A version as the tree shows it, whether the stack told of it or chain and archive did. */
export interface LineageEntry {
  id: string;
  parent: string | null;
  number: number;
  version: string;
  /** 0: a job starts from it. */
  round: number;
  accuracy: number | null;
  /** Archive id of the model file. */
  archive: string;
  /** How many runners' updates are in it; null when nobody asked. */
  contributors: number | null;
  state: LineageVersion['state'] | null;
}

/**
 * The tree of versions as text, newest first, the main line (that which leads to the newest version) leftmost
 * and forks beside it.
 * @param newestFirst every version before its parent
 */
export function lineageLines(theme: Theme, newestFirst: readonly LineageEntry[]): string[] {
  const numbers = String(Math.max(0, ...newestFirst.map(({ number }) => number))).length;
  const rounds = String(Math.max(0, ...newestFirst.map(({ round }) => round))).length;
  const runners = Math.max(0, ...newestFirst.map((entry) => runnersText(entry).length));
  const numberOf = new Map(newestFirst.map(({ id, number }) => [id, number]));
  return rowsOf(newestFirst).flatMap((row) => {
    const { version } = row;
    const drawn = graph(theme, row);
    const from = row.forkTo === null || version.parent === null ? undefined : numberOf.get(version.parent);
    const facts = [
      `${paint(theme, 'bold', String(version.number).padStart(numbers))}  ${short(theme, version.version)}`,
      percent(version.accuracy).padStart(6),
      (version.round === 0 ? 'start' : `round ${version.round}`).padEnd(6 + rounds),
      ...(from === undefined ? [] : [`from ${from}`]),
      ...(version.contributors === null ? [] : [runnersText(version).padEnd(runners)]),
      ...(version.state === null ? [] : [stateText(theme, version.state)]),
      paint(
        theme,
        'dim',
        `archive ${theme.columns >= 125 ? version.archive : short(theme, version.archive, 8, 4)}`,
      ),
    ];
    const room = { ...theme, columns: theme.columns - width(drawn.first) - 3 };
    const [first = '', ...more] = flow(room, facts, 0);
    const lines = [`  ${drawn.first} ${first}`, ...more.map((text) => `  ${drawn.below} ${text}`)];
    return lines.map((line) => line.trimEnd());
  });
}

export const rowsOf = (newestFirst: readonly LineageEntry[]): LineageRow<LineageEntry>[] =>
  lineageRows(
    newestFirst,
    ({ id }) => id,
    ({ parent }) => parent,
    // What was declared void leads nowhere, however new it is.
    newestFirst.find(({ state }) => state !== 'void')?.id,
  );

/** What the stack's table says, newest first. */
export function entriesOfViews(versions: readonly VersionView[]): LineageEntry[] {
  return [...versions]
    .sort((a, b) => b.number - a.number || b.updatedAt.localeCompare(a.updatedAt))
    .map(({ model, parent, number, round, accuracy, archive }) => ({
      id: model.versionId,
      parent,
      number,
      version: model.versionId,
      round,
      accuracy,
      archive: archive.model,
      contributors: null,
      state: null,
    }));
}

/** What chain and archive say, newest first. A start that is the very version it goes on from is left out. */
export function entriesOfRecord(versions: readonly LineageVersion[]): LineageEntry[] {
  const byId = new Map(versions.map((version) => [version.id, version]));
  const isRepeated = ({ round, parent, version }: LineageVersion) =>
    round === 0 && parent !== null && byId.get(parent)?.version === version;
  const shown = (id: string | null): string | null => {
    const found = id === null ? undefined : byId.get(id);
    return found && isRepeated(found) ? shown(found.parent) : id;
  };
  return versions
    .filter((version) => !isRepeated(version))
    .map((version, order) => ({ version, order }))
    .sort((a, b) => b.version.number - a.version.number || b.order - a.order)
    .map(({ version: { archive, contributors, ...version } }) => ({
      ...version,
      parent: shown(version.parent),
      archive: archive.model,
      contributors: contributors.length,
    }));
}

/** The lanes of a row: where lines run past, begin, end, and the version itself. */
function graph(theme: Theme, row: LineageRow<LineageEntry>): { first: string; below: string } {
  const { branch, turn, merge, line, rule } = glyphs(theme);
  const last = Math.max(row.lane, ...row.passing);
  const cells = Array.from({ length: last + 1 }, (_, lane) => {
    const between =
      (row.forkTo !== null && lane > row.forkTo && lane < row.lane) ||
      row.joined.some((end) => lane > row.lane && lane < end);
    if (lane === row.lane) return mark(theme, row.version) + (row.joined.length > 0 ? rule : ' ');
    if (lane === row.forkTo) return row.passing.includes(lane) ? branch : turn;
    if (row.joined.includes(lane)) return merge + (row.joined.some((end) => end > lane) ? rule : ' ');
    if (between) return rule.repeat(2);
    return row.passing.includes(lane) ? `${line} ` : '  ';
  });
  const below = Array.from({ length: last + 1 }, (_, lane) => {
    const goesOn = lane === row.lane ? row.down && row.forkTo === null : row.passing.includes(lane);
    return goesOn && !row.joined.includes(lane) ? `${line} ` : '  ';
  });
  return { first: cells.join('').trimEnd(), below: below.join('').slice(0, width(cells.join('').trimEnd())) };
}

function mark(theme: Theme, { round, state }: LineageEntry): string {
  const { dot, ring, fail } = glyphs(theme);
  if (state === 'void') return paint(theme, 'red', fail);
  return round === 0 ? paint(theme, 'dim', ring) : paint(theme, 'cyan', dot);
}

function runnersText({ contributors, round }: LineageEntry): string {
  if (contributors === null || round === 0) return '';
  return `${contributors} ${contributors === 1 ? 'runner' : 'runners'}`;
}

function stateText(theme: Theme, state: LineageVersion['state']): string {
  // A state that is open to dispute is the longest word.
  const column = state.padEnd('disputable'.length);
  if (state === 'void') return paint(theme, 'red', column);
  return state === 'disputable' ? paint(theme, 'yellow', column) : paint(theme, 'dim', column);
}

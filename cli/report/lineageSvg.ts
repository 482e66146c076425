/**
 * The tree of versions as a picture: lanes as in the text, one row a version. Colours follow the reader's light or
 * dark setting; all that a row shows in short is in its title in full.
 */
import type { LineageVersion } from '#audit/index.js';
import type { LineageRow } from '#core/lineage.js';
import { percent } from '../terminal/format.js';
import { entriesOfRecord, rowsOf, type LineageEntry } from './lineage.js';

const ROW = 28;
const LANE = 18;
const MARGIN = 20;
const HEAD = 72;

/** Columns behind the lanes: title, and where it begins in pixels. */
const columns = [
  ['number', 0],
  ['version', 64],
  ['made by', 220],
  ['accuracy', 318],
  ['runners', 404],
  ['archived model', 476],
  ['anchored, UTC', 628],
  ['state', 766],
] as const;
const WIDTH = 860;

/** @param versions as readLineage gives them, of one lineage */
export function lineageSvg(name: string, versions: readonly LineageVersion[]): string {
  const byId = new Map(versions.map((version) => [version.id, version]));
  const rows = rowsOf(entriesOfRecord(versions));
  const lanes = Math.max(1, ...rows.map(({ lane, passing }) => Math.max(lane, ...passing) + 1));
  const text = MARGIN + lanes * LANE + 8;
  const width = text + WIDTH + MARGIN;
  const height = HEAD + rows.length * ROW + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title desc">`,
    `<title id="title">Lineage ${escape(name)}</title>`,
    `<desc id="desc">${escape(description(rows))}</desc>`,
    `<style>${style}</style>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    `<text class="name" x="${MARGIN}" y="30">${escape(name)}</text>`,
    ...columns.map(([title, x]) => `<text class="head" x="${text + x}" y="58">${title}</text>`),
    ...rows.flatMap((row, index) => lines(row, HEAD + index * ROW + ROW / 2)),
    ...rows.flatMap((row, index) => {
      const version = byId.get(row.version.id);
      return version ? versionRow(row, version, text, HEAD + index * ROW + ROW / 2) : [];
    }),
    '</svg>',
    '',
  ].join('\n');
}

function description(rows: readonly LineageRow<LineageEntry>[]): string {
  const entries = rows.map(({ version }) => version);
  const newest = entries.find(({ state }) => state !== 'void');
  const tips = rows.filter(({ tip, version }) => tip && version.state !== 'void').length;
  const voided = entries.filter(({ state }) => state === 'void').length;
  return [
    `${entries.length} versions in ${tips} ${tips === 1 ? 'line' : 'lines'}, newest first.`,
    ...(newest
      ? [
          `The newest is number ${newest.number}${newest.accuracy === null ? '' : `, accuracy ${percent(newest.accuracy)}`}, ${newest.state}.`,
        ]
      : []),
    ...(voided > 0 ? [`${voided} were declared void.`] : []),
  ].join(' ');
}

/** Half a row above and half a row below each version: where its lines, and those that pass, run. */
function lines(row: LineageRow<LineageEntry>, y: number): string[] {
  const { lane, passing, joined, tip, down, forkTo } = row;
  const top = y - ROW / 2;
  const bottom = y + ROW / 2;
  const drawn = passing
    .filter((at) => at !== lane && !joined.includes(at))
    .map((at) => path(`M${x(at)} ${top}V${bottom}`));
  if (!tip) drawn.push(path(`M${x(lane)} ${top}V${y}`));
  if (down && forkTo === null) drawn.push(path(`M${x(lane)} ${y}V${bottom}`));
  if (forkTo !== null)
    drawn.push(path(`M${x(lane)} ${y}C${x(lane)} ${bottom} ${x(forkTo)} ${y} ${x(forkTo)} ${bottom}`));
  for (const end of joined)
    drawn.push(path(`M${x(end)} ${top}C${x(end)} ${y} ${x(lane)} ${top} ${x(lane)} ${y}`));
  return drawn;
}

function versionRow(
  row: LineageRow<LineageEntry>,
  version: LineageVersion,
  text: number,
  y: number,
): string[] {
  const { number, round, accuracy, contributors, archive, at, state } = version;
  const cells = [
    String(number),
    shortened(version.version),
    round === 0 ? 'start' : `round ${round}`,
    percent(accuracy),
    round === 0 ? '' : String(contributors.length),
    `${archive.model.slice(0, 8)}…${archive.model.slice(-4)}`,
    at === null ? '' : at.slice(0, 16).replace('T', ' '),
    state,
  ];
  const kind = round === 0 ? 'start' : state;
  return [
    `<g class="${state}">`,
    `<title>${escape(titleOf(version))}</title>`,
    // The whole row answers to the pointer, not only its letters.
    `<rect class="row" x="0" y="${y - ROW / 2}" width="${text + WIDTH}" height="${ROW}"/>`,
    state === 'void'
      ? `<path class="mark void" d="M${x(row.lane) - 5} ${y - 5}l10 10m0 -10l-10 10"/>`
      : `<circle class="mark ${kind}" cx="${x(row.lane)}" cy="${y}" r="5"/>`,
    ...cells.map((cell, i) => {
      const [title, at] = columns[i] ?? ['', 0];
      return cell === ''
        ? ''
        : `<text class="${title.replaceAll(/\W+/g, '-')}" x="${text + at}" y="${y + 4}">${escape(cell)}</text>`;
    }),
    '</g>',
  ].filter((line) => line !== '');
}

function titleOf(version: LineageVersion): string {
  const { number, round, job, coordinator, accuracy, contributors, archive, state } = version;
  return [
    `Version ${number}, ${state}: ${version.version}`,
    round === 0 ? `start of job ${job}` : `round ${round} of job ${job}`,
    `coordinator ${coordinator}`,
    ...(accuracy === null ? [] : [`accuracy ${percent(accuracy)}`]),
    ...(contributors.length === 0 ? [] : [`runners ${contributors.join(', ')}`]),
    `manifest ${archive.manifest}`,
    `model ${archive.model}`,
    ...(archive.state === null ? [] : [`state ${archive.state}`]),
  ].join('\n');
}

const x = (lane: number): number => MARGIN + lane * LANE + 6;
const path = (d: string): string => `<path class="line" d="${d}"/>`;
const shortened = (id: string): string => `${id.slice(0, 10)}…${id.slice(-6)}`;

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

interface Colours {
  ink: string;
  soft: string;
  ground: string;
  line: string;
  main: string;
  open: string;
  bad: string;
}

/** Rules in full for both settings: programs that turn pictures into pixels often know no variables of CSS. */
const coloured = ({ ink, soft, ground, line, main, open, bad }: Colours): string => `
text { fill: ${ink}; }
.head, .archived-model, .anchored-UTC, .made-by, .void text { fill: ${soft}; }
.ground { fill: ${ground}; }
.line { stroke: ${line}; }
.mark { fill: ${main}; stroke: ${ground}; }
.mark.start { fill: ${ground}; stroke: ${soft}; }
.mark.disputable, .disputable .state { fill: ${open}; }
.mark.void { stroke: ${bad}; }
.void .state { fill: ${bad}; }
`;

const style = `
text { font: 13px ui-sans-serif, system-ui, sans-serif; }
.name { font-size: 17px; font-weight: 600; }
.head { font-size: 12px; }
.version, .archived-model { font-family: ui-monospace, monospace; font-size: 12px; }
.number, .void .state { font-weight: 600; }
.void .version { text-decoration: line-through; }
.row { fill: none; pointer-events: all; }
.line { fill: none; stroke-width: 2; }
.mark { stroke-width: 2; }
.mark.void { fill: none; stroke-width: 2.5; }
${coloured({ ink: '#1c2128', soft: '#57606a', ground: '#ffffff', line: '#8c959f', main: '#0969da', open: '#9a6700', bad: '#cf222e' })}
@media (prefers-color-scheme: dark) {${coloured({ ink: '#e6edf3', soft: '#9aa4af', ground: '#0d1117', line: '#6e7681', main: '#58a6ff', open: '#d29922', bad: '#ff7b72' })}}
`;

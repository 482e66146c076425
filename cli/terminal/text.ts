import { glyphs, paint, type Theme } from './theme.js';

/** Pieces of text that fit: widths, columns, tables. Every character we print is one column wide. */

/** Columns that a text takes; escape sequences take none. */
export function width(text: string): number {
  // eslint-disable-next-line no-control-regex
  return [...text.replace(/\u001b\[[0-9;]*m/g, '')].length;
}

export function padEnd(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - width(text)));
}

export function padStart(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - width(text))) + text;
}

/** Cuts unpainted text to a width, with an ellipsis where something is missing. */
export function cut(theme: Theme, text: string, columns: number): string {
  const characters = [...text];
  if (characters.length <= columns) return text;
  const mark = glyphs(theme).ellipsis;
  return columns <= mark.length
    ? mark.slice(0, columns)
    : characters.slice(0, columns - mark.length).join('') + mark;
}

/** @example short(theme, '0x12ab…') // '0x12ab34cd…56ef78' for ids that are longer than `head + tail` characters */
export function short(theme: Theme, id: string, head = 10, tail = 6): string {
  if (id.length <= head + tail + 1) return id;
  return id.slice(0, head) + glyphs(theme).ellipsis + (tail === 0 ? '' : id.slice(-tail));
}

/** Packs items side by side into as few lines as fit; the first begins after `indent` spaces, others `hang` deeper. */
export function flow(theme: Theme, items: readonly string[], indent: number, hang = 2): string[] {
  const separator = '   ';
  const lines: string[] = [];
  for (const item of items) {
    const last = lines.at(-1);
    if (last !== undefined && width(last) + separator.length + width(item) <= theme.columns)
      lines[lines.length - 1] = last + separator + item;
    else lines.push(' '.repeat(lines.length === 0 ? indent : indent + hang) + item);
  }
  return lines;
}

/** Breaks prose at spaces; words that are too long stay whole. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    const indent = /^ */.exec(paragraph)?.[0] ?? '';
    let line = '';
    for (const word of paragraph.trim().split(/ +/)) {
      if (line !== '' && indent.length + line.length + 1 + word.length > columns) {
        lines.push(indent + line);
        line = word;
      } else line = line === '' ? word : `${line} ${word}`;
    }
    lines.push(indent + line);
  }
  return lines;
}

export interface Column {
  title: string;
  align?: 'left' | 'right';
  /** Columns with the highest number go first when the terminal is too narrow; 0 (the default) stays. */
  drop?: number;
}

/** A table with its titles; where it does not fit, columns are left out in the order of `drop`. */
export function table(
  theme: Theme,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  indent = 0,
): string[] {
  let shown = columns.map((column, index) => ({
    ...column,
    index,
    width: Math.max(width(column.title), ...rows.map((row) => width(row[index] ?? ''))),
  }));
  const total = () => indent + shown.reduce((sum, { width: own }) => sum + own + 2, -2);
  while (total() > theme.columns) {
    const worst = Math.max(...shown.map(({ drop }) => drop ?? 0));
    if (worst === 0) break;
    shown = shown.filter(({ drop }) => (drop ?? 0) !== worst);
  }
  const line = (cells: readonly string[]) =>
    (
      ' '.repeat(indent) +
      shown
        .map((column, i) => (column.align === 'right' ? padStart : padEnd)(cells[i] ?? '', column.width))
        .join('  ')
    ).trimEnd();
  return [
    line(shown.map(({ title }) => paint(theme, 'dim', title))),
    ...rows.map((row) => line(shown.map(({ index }) => row[index] ?? ''))),
  ];
}

/** @example bar(theme, 0.5, 4) // '━━──' */
export function bar(theme: Theme, share: number, columns: number): string {
  const { full, empty } = glyphs(theme);
  const filled = Math.round(Math.min(1, Math.max(0, share)) * columns);
  return paint(theme, 'green', full.repeat(filled)) + paint(theme, 'dim', empty.repeat(columns - filled));
}

import { padStart } from '../terminal/text.js';
import { paint, type Theme } from '../terminal/theme.js';

export interface Point {
  x: number;
  /** Between 0 and 1. */
  y: number;
}

const axisColumns = 7;

/**
 * Accuracy by round as a small plot. The vertical axis spans the values;
 * where there are more rounds than columns, each column shows the last round it stands for.
 */
export function accuracyPlot(theme: Theme, points: readonly Point[]): string[] {
  if (points.length === 0) return [];
  const axis = axisOf(points);
  const { rows } = axis;
  const room = Math.max(4, Math.min(theme.columns, 100) - axisColumns - 4);
  const step = Math.max(1, Math.min(7, Math.floor(room / points.length)));
  const shown = thin(points, Math.floor(room / step));
  const canvas = Array.from({ length: rows }, () => Array.from({ length: shown.length * step }, () => ' '));
  const rowOf = (y: number) => rows - 1 - Math.round(((y - axis.low) / (axis.high - axis.low)) * (rows - 1));
  shown.forEach(({ y }, i) => {
    const next = shown[i + 1];
    if (next && step > 1) connect(theme, canvas, i * step, rowOf(y), (i + 1) * step, rowOf(next.y));
  });
  shown.forEach(({ y }, i) => {
    const line = canvas[rowOf(y)];
    if (line) line[i * step] = theme.unicode ? '●' : '*';
  });
  const [bar, side, corner, tick] = theme.unicode ? ['┤', '│', '└', '─'] : ['+', '|', '+', '-'];
  return [
    ...canvas.map((line, row) => {
      const above = rows - 1 - row;
      const value = axis.low + (above / (rows - 1)) * (axis.high - axis.low);
      const label = above % axis.rowsPerStep === 0 ? `${(100 * value).toFixed(0)}% ${bar}` : side;
      return `${paint(theme, 'dim', padStart(label, axisColumns))} ${paint(theme, 'cyan', line.join('').trimEnd())}`.trimEnd();
    }),
    paint(theme, 'dim', `${' '.repeat(axisColumns - 1)}${corner}${tick.repeat(shown.length * step + 1)}`),
    paint(theme, 'dim', `${' '.repeat(axisColumns + 1)}${ticks(shown, step)}`),
  ];
}

/** The axis runs between multiples of its step, with so many rows for each that it is about eight rows high. */
function axisOf(points: readonly Point[]): { low: number; high: number; rows: number; rowsPerStep: number } {
  const values = points.map(({ y }) => y);
  const lowest = Math.min(...values);
  const highest = Math.max(...values);
  const step = [0.02, 0.05, 0.1, 0.2].find((size) => highest - lowest <= 4 * size) ?? 0.25;
  const first = Math.floor(lowest / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(highest / step - 1e-9));
  const steps = last - first;
  const rowsPerStep = Math.max(1, Math.round(8 / steps));
  return { low: first * step, high: last * step, rows: steps * rowsPerStep + 1, rowsPerStep };
}

/** A thin line of dots between two points, excluding both. */
function connect(theme: Theme, canvas: string[][], x0: number, row0: number, x1: number, row1: number): void {
  const dot = theme.unicode ? '·' : '.';
  for (let x = x0 + 1; x < x1; x++) {
    const line = canvas[Math.round(row0 + ((x - x0) / (x1 - x0)) * (row1 - row0))];
    if (line) line[x] = dot;
  }
}

function thin(points: readonly Point[], columns: number): Point[] {
  if (points.length <= columns) return [...points];
  return Array.from(
    { length: columns },
    (_, i) => points[Math.ceil(((i + 1) * points.length) / columns) - 1],
  ).filter((point) => point !== undefined);
}

/** Round numbers below their columns, as many as do not touch each other. */
function ticks(points: readonly Point[], step: number): string {
  let line = '';
  points.forEach(({ x }, i) => {
    const column = i * step;
    if (line === '' || line.length + 1 <= column) line = line.padEnd(column) + String(x);
  });
  return line;
}

import { padStart } from '../terminal/text.js';
import { paint, type Theme } from '../terminal/theme.js';

const rows = 8;

/** Losses over time as a small plot: each column is the mean of the steps it stands for. */
export function lossCurve(theme: Theme, losses: readonly number[]): string[] {
  if (losses.length < 2) return [];
  const columns = Math.max(8, Math.min(theme.columns, 80) - 12);
  const count = Math.min(columns, losses.length);
  const means = Array.from({ length: count }, (_, column) => {
    const part = losses.slice(
      Math.floor((column * losses.length) / count),
      Math.floor(((column + 1) * losses.length) / count),
    );
    return part.reduce((sum, loss) => sum + loss, 0) / part.length;
  });
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const rowOf = (loss: number) =>
    high === low ? 0 : Math.round(((high - loss) / (high - low)) * (rows - 1));
  const [mark, side] = theme.unicode ? ['•', '│'] : ['*', '|'];
  return Array.from({ length: rows }, (_, row) => {
    const value = high - (row / (rows - 1)) * (high - low);
    const label = row === 0 || row === rows - 1 ? value.toPrecision(3) : '';
    const line = means
      .map((loss) => (rowOf(loss) === row ? mark : ' '))
      .join('')
      .trimEnd();
    return `${paint(theme, 'dim', `${padStart(label, 9)} ${side}`)} ${paint(theme, 'cyan', line)}`.trimEnd();
  });
}

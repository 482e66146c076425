import type { Finding } from '../machine.js';
import { wrap } from './text.js';
import { glyphs, paint, type Theme } from './theme.js';

/** A finding of `doctor`: its mark, what it is about, and what was found, wrapped. */
export function findingLines(theme: Theme, { subject, state, detail }: Finding): string[] {
  const { ok, warn, fail } = glyphs(theme);
  const mark =
    state === 'ok'
      ? paint(theme, 'green', ok)
      : state === 'warn'
        ? paint(theme, 'yellow', warn)
        : paint(theme, 'red', fail);
  const [first = '', ...more] = wrap(detail, Math.max(20, theme.columns - 20));
  return [
    `${mark} ${state.padEnd(4)} ${subject.padEnd(12)} ${first}`,
    ...more.map((line) => ' '.repeat(20) + line),
  ];
}

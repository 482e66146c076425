/** How text may look: what the terminal can show, and what the person asked for. */
export interface Theme {
  readonly color: boolean;
  /** False: ASCII only. */
  readonly unicode: boolean;
  readonly columns: number;
}

export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';

const codes: Record<Style, [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  yellow: [33, 39],
  red: [31, 39],
  cyan: [36, 39],
};

/** @example paint(theme, 'dim', 'waiting') */
export function paint(theme: Theme, style: Style, text: string): string {
  if (!theme.color || text === '') return text;
  const [on, off] = codes[style];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}

export interface Glyphs {
  ok: string;
  fail: string;
  warn: string;
  wait: string;
  full: string;
  empty: string;
  dot: string;
  ring: string;
  line: string;
  branch: string;
  last: string;
  /** Where a line to the right goes down. */
  turn: string;
  /** Where a line from above ends in one to the left. */
  merge: string;
  rule: string;
  ellipsis: string;
  separator: string;
}

export function glyphs(theme: Theme): Glyphs {
  return theme.unicode ? unicode : ascii;
}

/**
 * NO_COLOR (https://no-color.org) and TERM=dumb switch colour off, FORCE_COLOR on; a C or POSIX locale cannot
 * show more than ASCII.
 */
export function themeFor(
  environment: Readonly<Record<string, string | undefined>>,
  stream: { isTTY?: boolean; columns?: number },
): Theme {
  const dumb = environment['TERM'] === 'dumb';
  const forced = (environment['FORCE_COLOR'] ?? '') !== '' && environment['FORCE_COLOR'] !== '0';
  const refused = (environment['NO_COLOR'] ?? '') !== '';
  const locale = environment['LC_ALL'] || environment['LC_CTYPE'] || environment['LANG'] || '';
  return {
    color: !refused && (forced || (stream.isTTY === true && !dumb)),
    unicode: !dumb && environment['TERM'] !== 'linux' && (locale === '' || /utf-?8/i.test(locale)),
    columns: stream.columns ?? (Number(environment['COLUMNS']) || 80),
  };
}

const unicode: Glyphs = {
  ok: '✓',
  fail: '✗',
  warn: '!',
  wait: '·',
  full: '━',
  empty: '─',
  dot: '●',
  ring: '○',
  line: '│',
  branch: '├─',
  last: '╰─',
  turn: '╭─',
  merge: '╯',
  rule: '─',
  ellipsis: '…',
  separator: ' · ',
};

const ascii: Glyphs = {
  ok: '+',
  fail: 'x',
  warn: '!',
  wait: '.',
  full: '#',
  empty: '-',
  dot: '*',
  ring: 'o',
  line: '|',
  branch: '|-',
  last: '`-',
  turn: ',-',
  merge: "'",
  rule: '-',
  ellipsis: '..',
  separator: ', ',
};

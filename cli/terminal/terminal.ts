import { themeFor, type Theme } from './theme.js';

/** Where a command writes, and what can be shown there. Handed in, so that tests read what a person would see. */
export interface Terminal {
  write(text: string): void;
  writeError(text: string): void;
  theme(): Theme;
  rows(): number;
  /** Lines that were written may be erased and written anew. */
  readonly canRedraw: boolean;
  readonly isInteractive: boolean;
}

/**
 * What a terminal would obey, but for the few sequences that theme.ts and region.ts write: a name or an error text
 * from elsewhere must not set the title or the clipboard, clear the screen or leave it in another mode.
 */
function onlyOurs(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/\u001b\[(?:[0-9;]*m|[0-9]+A|0J)|(?![\n\t])\p{Cc}/gu, (found) =>
    found.length > 1 ? found : '',
  );
}

interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
  rows?: number;
}

export function openTerminal(
  environment: Readonly<Record<string, string | undefined>>,
  stdout: Output,
  stderr: Output,
): Terminal {
  const isTty = stdout.isTTY === true;
  const inCi = (environment['CI'] ?? '') !== '' && environment['CI'] !== 'false';
  return {
    write: (text) => void stdout.write(onlyOurs(text)),
    writeError: (text) => void stderr.write(onlyOurs(text)),
    theme: () => themeFor(environment, stdout),
    rows: () => stdout.rows ?? 24,
    canRedraw: isTty && !inCi && environment['TERM'] !== 'dumb',
    isInteractive: isTty && !inCi,
  };
}

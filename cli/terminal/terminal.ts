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
    write: (text) => void stdout.write(text),
    writeError: (text) => void stderr.write(text),
    theme: () => themeFor(environment, stdout),
    rows: () => stdout.rows ?? 24,
    canRedraw: isTty && !inCi && environment['TERM'] !== 'dumb',
    isInteractive: isTty && !inCi,
  };
}

import { pino, type Logger } from 'pino';

export type { Logger };

/** JSON lines on stdout. Bodies, headers and secrets are not logged: write only ids, codes and counts. */
export function openLog(part: string): Logger {
  return pino({
    level: process.env['LOG_LEVEL'] ?? 'info',
    base: { part },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}

import { pino, type DestinationStream, type Logger } from 'pino';
import { redact } from './redaction.js';

export type { Logger };

/**
 * The log of one part: JSON lines on standard output, each redacted as a whole before it is written. Bodies, headers
 * and secrets are not logged all the same: write only ids, codes and counts.
 * @param level LOG_LEVEL if not given, else `info`
 */
export function openLog(
  part: string,
  level = process.env['LOG_LEVEL'] ?? 'info',
  destination?: DestinationStream,
): Logger {
  return pino(
    {
      level,
      base: { part },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: redact },
    },
    destination,
  );
}

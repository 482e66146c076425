import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { parseMessage } from '#core/schema.js';
import { errorNumber } from './failures.js';

/**
 * What was signed for a round, from its file; null when nothing was.
 * @throws FORMAT_INVALID when the file is damaged: rather nothing signed than two things
 */
export async function readSignedFile<T extends z.ZodType>(
  path: string,
  schema: T,
): Promise<z.output<T> | null> {
  try {
    return parseMessage(schema, JSON.parse(await readFile(path, 'utf8')), path);
  } catch (error) {
    if (errorNumber(error) === 'ENOENT') return null;
    if (error instanceof SyntaxError || isRoundtableError(error, 'INVALID_INPUT'))
      throw new RoundtableError(
        'FORMAT_INVALID',
        `${path} is damaged, so nobody knows what was signed for this round; the runner will not sign again.`,
        { cause: error },
      );
    throw error;
  }
}

import type { ErrorCode } from '#core/errorCodes.js';
import { RoundtableError } from '#core/errors.js';

/**
 * The runner will not do a task. It becomes an answer with code and reason: the coordinator learns at once what
 * a time-out would never tell, and does not ask again.
 */
export class TaskRefusal extends RoundtableError {}

export function refuse(code: ErrorCode, reason: string): never {
  throw new TaskRefusal(code, reason);
}

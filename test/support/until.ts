import { setTimeout as pause } from 'node:timers/promises';

/**
 * Polls until the condition gives something other than undefined, null or false, and gives that back.
 * `what` is awaited; the error says it when it has not come after so many seconds.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string,
  seconds = 20,
): Promise<Exclude<T, undefined | null | false>> {
  const end = Date.now() + seconds * 1_000;
  for (;;) {
    const found = await condition();
    if (found !== undefined && found !== null && found !== false)
      return found as Exclude<T, undefined | null | false>;
    if (Date.now() > end) throw new Error(`${what}: not after ${seconds} seconds`);
    await pause(20);
  }
}

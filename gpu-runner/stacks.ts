import { setTimeout as delay } from 'node:timers/promises';
import { isRoundtableError } from '#core/errors.js';
import type { ChainMember } from '#services/chain/consortium.js';
import { messageOf } from './failures.js';
import { readPolicy } from './runnerHome.js';
import { findStacks, type KnownStack } from './stackFinder.js';
import { serveStack, type SharedParts } from './stackSession.js';

/** Members move, and owners change their policies; a chain that does not answer is asked again sooner. */
const LOOK_AGAIN_MS = 60_000;
const FIRST_RETRY_MS = 500;

interface Session {
  stop: AbortController;
  done: Promise<void>;
}

/**
 * Serves every stack that the owner wants served, each on its own: one that is away, slow or hostile holds up none
 * of the others. Which ones these are is looked up again every minute.
 */
export async function serveStacks(
  shared: SharedParts,
  members: () => Promise<ChainMember[]>,
  signal: AbortSignal,
): Promise<void> {
  const { home, log } = shared;
  const sessions = new Map<string, Session>();
  const said = new Set<string>();
  const sayOnce = (fields: object, message: string): void => {
    if (said.has(message)) return;
    said.add(message);
    log.warn(fields, message);
  };
  for (let failures = 0; !signal.aborted;) {
    try {
      const { stacks, lost } = await findStacks(home.config, await readPolicy(home.paths), members);
      for (const { coordinator, error } of lost)
        sayOnce({ stack: coordinator, code: error.code }, error.message);
      if (stacks.length === 0) sayOnce({}, noStack(home.config.stacks === 'auto'));
      await adopt(stacks);
      failures = 0;
    } catch (error) {
      failures++;
      const code = isRoundtableError(error) ? error.code : undefined;
      sayOnce({ code }, `cannot look for stacks: ${messageOf(error)}`);
    }
    const pause =
      failures === 0 ? LOOK_AGAIN_MS : Math.min(LOOK_AGAIN_MS, FIRST_RETRY_MS * 2 ** Math.min(failures, 7));
    await delay(pause, undefined, { signal }).catch(() => undefined);
  }
  await Promise.all([...sessions.values()].map(({ done }) => done));

  /** Begins what is new and ends what is not wanted any more. */
  async function adopt(stacks: readonly KnownStack[]): Promise<void> {
    const wanted = new Map(stacks.map((stack) => [`${stack.coordinator} ${stack.api}`, stack]));
    for (const [name, { stop, done }] of sessions)
      if (!wanted.has(name)) {
        stop.abort();
        await done;
        sessions.delete(name);
      }
    for (const [name, stack] of wanted) if (!sessions.has(name)) sessions.set(name, begin(name, stack));
  }

  function begin(name: string, stack: KnownStack): Session {
    const stop = new AbortController();
    const done = serveStack(shared, stack, AbortSignal.any([signal, stop.signal])).catch((error: unknown) => {
      // The next look begins it anew.
      sessions.delete(name);
      log.error({ stack: stack.coordinator }, `serving the stack ended: ${messageOf(error)}`);
    });
    return { stop, done };
  }
}

const noStack = (auto: boolean): string =>
  auto
    ? 'no stack to serve: policy.yaml allows no coordinator that has a stack'
    : 'no stack to serve: runner.yaml names none that can be used';

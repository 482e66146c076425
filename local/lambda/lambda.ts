/** Calls handlers as Lambda does: each in a process of its own, which is killed when its time is up. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { startInstance, type Instance } from './instance.js';

export { FunctionFailed } from './instance.js';

export interface Lambda {
  readonly name: string;
  /**
   * As an invocation that waits for its answer. What has begun to run is killed after `timeoutSeconds`; loading the
   * bundle does not count. An instance answers one invocation at a time and is kept for the next.
   * @throws FunctionFailed when the handler throws, dies, or runs out of time
   */
  invoke(event: unknown, timeoutSeconds: number): Promise<unknown>;
  /** Loads the bundle before the first invocation does. @throws NOT_FOUND when it cannot be loaded or has no `handler` */
  warm(): Promise<void>;
  /** Kills every instance. */
  close(): void;
}

/** Instances of one function at a time; further invocations wait. */
export const mostInstances = 4;
/** An instance that was not needed for so long is ended, but for the last. */
const idleMilliseconds = 60_000;

/** The function whose bundle is FOLDER/NAME.mjs. */
export function openLambda(folder: string, name: string, region: string): Lambda {
  const file = join(folder, `${name}.mjs`);
  const all = new Set<Instance>();
  /** Those that wait for work, the last used last, each with the timer that ends it. */
  const idle = new Map<Instance, NodeJS.Timeout>();
  const waiting: (() => void)[] = [];
  let starting = 0;

  async function start(): Promise<Instance> {
    starting++;
    try {
      const instance = await startInstance(file);
      all.add(instance);
      void instance.ended.then(() => {
        all.delete(instance);
        clearTimeout(idle.get(instance));
        idle.delete(instance);
        waiting.shift()?.();
      });
      return instance;
    } finally {
      starting--;
      waiting.shift()?.();
    }
  }

  /** The one that was used last: those beyond what is needed get their rest, and then their end. */
  async function take(): Promise<Instance> {
    for (;;) {
      const last = [...idle].at(-1);
      if (last) {
        const [instance, timer] = last;
        clearTimeout(timer);
        idle.delete(instance);
        return instance;
      }
      if (all.size + starting < mostInstances) return start();
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  }

  function giveBack(instance: Instance): void {
    const end = () => {
      if (all.size > 1) instance.kill();
    };
    idle.set(instance, setTimeout(end, idleMilliseconds).unref());
    waiting.shift()?.();
  }

  return {
    name,
    async warm() {
      const instance = await start().catch((cause: unknown) => {
        throw new RoundtableError('NOT_FOUND', `${file} is no function: ${String(cause)}`, { cause });
      });
      giveBack(instance);
    },
    async invoke(event, timeoutSeconds) {
      const instance = await take();
      const context = { name, region, requestId: randomUUID(), deadline: Date.now() + timeoutSeconds * 1000 };
      try {
        return await instance.invoke({ event, context });
      } finally {
        if (all.has(instance)) giveBack(instance);
      }
    },
    close: () => {
      for (const instance of all) instance.kill();
    },
  };
}

import type { Intent, IntentStore } from './chainSender.js';

/**
 * Intents of a process that a person runs and sees end. What they were signed as matters only while it is sent: for
 * calls that the contract makes harmless to repeat.
 */
export function memoryIntents(): IntentStore {
  const intents = new Map<string, Intent>();
  return {
    get: (id) => Promise.resolve(intents.get(id) ?? null),
    put(id, transaction, replaces) {
      const stored = intents.get(id);
      const intent =
        (stored?.hash ?? null) === replaces || !stored ? { ...transaction, mined: null } : stored;
      intents.set(id, intent);
      return Promise.resolve(intent);
    },
    markMined(id, hash, mined) {
      const stored = intents.get(id);
      if (stored?.hash === hash) intents.set(id, { ...stored, mined });
      return Promise.resolve();
    },
  };
}

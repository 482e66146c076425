import { isRoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { Recipient } from '#core/jobSpec.js';
import type { TrainTask } from '#core/messages.js';
import { refuse } from './refusal.js';

/** A member's sealing key as it announced it on chain; null when it has none. */
export type AnnouncedKey = (member: Hex) => Promise<Hex | null>;

const rememberedMs = 600_000;

/**
 * Asks the chain about a member's key every ten minutes at most. While the chain does not answer, what it said last
 * holds: a key is announced seldom, and a round should not wait for a node.
 */
export function rememberKeys(ask: AnnouncedKey): AnnouncedKey {
  const known = new Map<Hex, { key: Hex | null; until: number }>();
  return async (member) => {
    const last = known.get(member);
    if (last && last.until > Date.now()) return last.key;
    try {
      const key = await ask(member);
      known.set(member, { key, until: Date.now() + rememberedMs });
      return key;
    } catch (error) {
      if (last && isRoundtableError(error, 'CHAIN_UNREACHABLE')) return last.key;
      throw error;
    }
  };
}

/**
 * Whom this task's update is sealed for: the coordinator and the auditors that its spec names. The opening commits to
 * the spec, so nobody on the way can add a reader; that the keys are the members' own, only the chain can say.
 * @param announced null for a runner that does not read the chain: then the spec is believed
 * @throws a refusal, READERS_REFUSED
 */
export async function checkReaders(task: TrainTask, announced: AnnouncedKey | null): Promise<Recipient[]> {
  const { recipients } = task.spec.updates;
  const members = new Set(recipients.map(({ member }) => member));
  if (members.size !== recipients.length)
    refuse('READERS_REFUSED', 'The spec names one reader of the updates twice.');
  if (!members.has(task.coordinator))
    refuse('READERS_REFUSED', `The spec does not let coordinator ${task.coordinator} read the updates.`);
  for (const { member, publicKey } of announced ? recipients : []) {
    const key = await announced?.(member);
    if (key !== publicKey)
      refuse(
        'READERS_REFUSED',
        `The spec seals updates for ${publicKey} of member ${member}, which has announced ${key ?? 'no key'} on chain.`,
      );
  }
  return recipients;
}

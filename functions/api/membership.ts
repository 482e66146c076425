import type { Hex } from '#core/hex.js';
import type { Chain } from '#services/chain.js';

/** What the API asks of the chain. */
export type Membership = Pick<Chain, 'isMember' | 'runner'>;

/** Answers of the chain, kept for some seconds: a runner shows a sign of life every two. */
export function cacheMembership(chain: Membership): Membership {
  return {
    isMember: cached((address) => chain.isMember(address)),
    runner: cached((address) => chain.runner(address)),
  };
}

const keepMilliseconds = 5_000;
const keepEntries = 10_000;

function cached<T>(ask: (address: Hex) => Promise<T>): (address: Hex) => Promise<T> {
  const answers = new Map<Hex, { until: number; answer: Promise<T> }>();
  return (address) => {
    const now = Date.now();
    const known = answers.get(address);
    if (known && known.until > now) return known.answer;
    if (answers.size >= keepEntries) answers.clear();
    const answer = ask(address);
    answers.set(address, { until: now + keepMilliseconds, answer });
    answer.catch(() => answers.delete(address));
    return answer;
  };
}

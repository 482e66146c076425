import type { Hex } from '#core/hex.js';
import type { Chain } from '#services/chain.js';
import { cached } from './cached.js';

/** What the API asks of the chain. */
export type Membership = Pick<Chain, 'isMember' | 'runner' | 'serving' | 'drawn' | 'acceptsSignature'>;

/** Answers of the chain, kept for some seconds: a runner shows a sign of life every two. */
export function cacheMembership(chain: Membership): Membership {
  return {
    isMember: cached((address: Hex) => chain.isMember(address)),
    runner: cached((address: Hex) => chain.runner(address)),
    // Another with each round, and asked for only when somebody attests.
    drawn: (job) => chain.drawn(job),
    serving: cached((address: Hex) => chain.serving(address)),
    acceptsSignature: (account, digest, signature) => chain.acceptsSignature(account, digest, signature),
  };
}

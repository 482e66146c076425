import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { ChainMember } from '#services/chain/consortium.js';
import { checkOutboundUrl, outboundRules, type OutboundRules } from '#services/outboundUrl.js';
import { messageOf } from './failures.js';
import type { Policy } from './policy.js';
import type { RunnerConfig } from './runnerHome.js';

/** A stack that the runner serves. */
export interface KnownStack {
  /** Address of the member whose stack it is: requests are signed for it, tasks must come from it. */
  coordinator: Hex;
  /** URL of its API. */
  api: string;
  /** What may be dialled on the stack's word. */
  rules: OutboundRules;
  /** The URL was found on chain, so the rules hold for it too. */
  found: boolean;
}

/** A stack that cannot be served, and why. */
export interface LostStack {
  coordinator: Hex;
  error: RoundtableError;
}

/**
 * The stacks that runner.yaml names, or, with `auto`, those of the members whose tasks policy.yaml allows. Where it
 * gives no URL, the one that the member has on chain counts.
 * @param members who is in the consortium now; asked only if a URL is to be found
 * @throws what reading the chain throws
 */
export async function findStacks(
  config: RunnerConfig,
  policy: Policy,
  members: () => Promise<ChainMember[]>,
): Promise<{ stacks: KnownStack[]; lost: LostStack[] }> {
  const wanted: (Hex | { coordinator: Hex; api: string })[] =
    config.stacks === 'auto'
      ? [...new Set(policy.allow.flatMap(({ coordinators }) => coordinators))]
      : config.stacks;
  const search = wanted.some((entry) => typeof entry === 'string');
  if (search && config.chain.rpcUrls.length === 0)
    throw new RoundtableError(
      'HOME_INVALID',
      'runner.yaml names stacks whose URL is to be found on chain, but no chain.rpcUrls to look there.',
    );
  const known = search ? await members() : [];
  const stacks: KnownStack[] = [];
  const lost: LostStack[] = [];
  for (const entry of wanted) {
    const coordinator = typeof entry === 'string' ? entry : entry.coordinator;
    try {
      if (typeof entry === 'string') stacks.push(foundOnChain(config, entry, known));
      else
        stacks.push({
          coordinator,
          api: entry.api,
          rules: outboundRules([entry.api], config.privateHosts),
          found: false,
        });
    } catch (error) {
      if (!isRoundtableError(error)) throw error;
      lost.push({ coordinator, error });
    }
  }
  return { stacks, lost };
}

function foundOnChain(config: RunnerConfig, coordinator: Hex, members: readonly ChainMember[]): KnownStack {
  const member = members.find((entry) => entry.member === coordinator);
  if (!member)
    throw new RoundtableError('NOT_FOUND', `${coordinator} is not a member of the consortium on chain.`);
  if (member.url === '')
    throw new RoundtableError(
      'NOT_FOUND',
      `The member ${coordinator} has stated no URL of a stack on chain.`,
    );
  const rules = outboundRules(config.chain.rpcUrls, config.privateHosts);
  try {
    const { origin, pathname } = checkOutboundUrl(member.url, rules);
    return { coordinator, api: (origin + pathname).replace(/\/+$/, ''), rules, found: true };
  } catch (error) {
    throw new RoundtableError(
      'URL_REFUSED',
      `The URL that the member ${coordinator} has on chain is not used. ${messageOf(error)} runner.yaml can name the stack's URL itself, or its host under privateHosts.`,
      { cause: error },
    );
  }
}

import { resolve } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { ChainCall } from '#contracts/typed.js';
import type { Chain } from '#services/chain.js';
import type { chainCalls } from '#services/chainCalls.js';
import { createSender } from '#services/chainSender.js';
import { readWallet } from '../api.js';
import { withChain, type ChainOptions } from '../chain.js';
import type { Context } from '../command.js';
import { intentsHere } from '../rewards/accounts.js';

export const keyOption = ['--key <file>', 'the EVM key that signs; its account pays the gas'] as const;

/** Which consortium is meant, and who asks. */
export interface SignerOptions extends ChainOptions {
  key: string;
}

type ConsortiumCalls = ReturnType<typeof chainCalls>['consortium'];

/** What somebody decides about who belongs to a consortium. */
export interface Decision {
  /** Names it, for what was signed before. */
  intent: string;
  call(of: { calls: ConsortiumCalls; chain: Chain; signer: Hex }): Promise<ChainCall>;
  /** Whether the chain says so already. */
  done(chain: Chain, signer: Hex): Promise<boolean>;
  said(done: boolean): string;
}

/** Sends what a member or the founder decides about members, unless the chain says so already. */
export function decide(context: Context, options: SignerOptions, decision: Decision): Promise<void> {
  const wallet = readWallet(resolve(context.folder, options.key));
  const signer = wallet.address.toLowerCase() as Hex;
  return withChain(context, options, async (chain, { consortium: calls }) => {
    if (await decision.done(chain, signer)) {
      context.print({ done: true, transaction: null }, () => [`Nothing was sent. ${decision.said(true)}`]);
      return;
    }
    const sender = createSender({ chain, wallet, intents: intentsHere(context.state) });
    // What was decided otherwise since then is decided anew.
    const nonce = await chain.provider.getTransactionCount(signer);
    if (!(await chain.isMember(signer)) && !(await chain.mayAdmit(signer)))
      throw new RoundtableError(
        'FORBIDDEN',
        `${signer} is no member of the consortium ${chain.deployment.consortium}. Is this the right key?`,
      );
    const call = await decision.call({ calls, chain, signer });
    const { hash } = await sender.send(`${decision.intent}/${nonce}`, call);
    const done = await decision.done(chain, signer);
    context.print({ done, transaction: hash }, () => [`${decision.said(done)} Transaction ${hash}.`]);
  });
}

import { actDomain, actTypes, type ActStatement } from '#core/eip712.js';
import type { ActionName, ActPlace } from '#core/acts.js';
import { toHex } from '#core/hex.js';
import { config } from '../state/config.js';
import { problemOf } from '../state/resource.js';
import { ask, type Connection } from './wallet.js';

/** Something a person wants done at the stack. */
export interface Act {
  action: ActionName;
  target: string;
  /** What the person knows the target by. */
  name: string;
}

/** Seconds for which a signature is good: a wallet shows what it signs, and people read. */
const goodFor = 300;

/** What an act is signed for. The stack's own words count only as far as they are those of config.json. */
export async function readPlace(): Promise<ActPlace> {
  const settings = config.peek();
  if (!settings) throw new Error('config.json was not read');
  const response = await fetch(`${settings.api}/v1/acts/place`, { cache: 'no-store' });
  if (!response.ok) throw new Error(await problemOf(response));
  const place = (await response.json()) as ActPlace;
  const { chainId, consortium } = settings.deployment;
  if (place.stack !== settings.stack || place.chainId !== chainId || place.consortium !== consortium)
    throw new Error(
      `the API says it is the stack of ${place.stack} on chain ${place.chainId}; this page is of another one`,
    );
  return place;
}

export function statementOf(
  { stack, url, now }: ActPlace,
  { action, target }: Act,
  reason: string,
): ActStatement {
  const nonce = toHex(crypto.getRandomValues(new Uint8Array(32)));
  return { stack, url, action, target, reason, nonce, issued: now, expiry: now + goodFor };
}

/** Has the wallet sign (EIP-712) and sends it. @returns what came of it @throws Declined, or what the API says */
export async function signAndSend(
  { wallet, account }: Connection,
  { chainId, consortium }: ActPlace,
  statement: ActStatement,
): Promise<string> {
  const domain = actDomain(chainId, consortium);
  const typed = {
    domain,
    primaryType: 'Act',
    types: { ...actTypes, EIP712Domain: domainTypes },
    message: statement,
  };
  const signed = await ask<string>(wallet.provider, 'eth_signTypedData_v4', [account, JSON.stringify(typed)]);
  const response = await fetch(`${config.peek()?.api ?? '.'}/v1/acts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ statement, signer: account, signature: withRecovery(signed) }),
  });
  if (!response.ok) throw new Error(await problemOf(response));
  return ((await response.json()) as { outcome: string }).outcome;
}

const domainTypes = [
  { name: 'name', type: 'string' },
  { name: 'version', type: 'string' },
  { name: 'chainId', type: 'uint256' },
  { name: 'verifyingContract', type: 'address' },
];

/**
 * Some wallets, of hardware above all, end a signature with 0 or 1 where the others write 27 or 28. What is longer is
 * that of a contract account, which alone knows what its bytes mean.
 */
function withRecovery(signature: string): string {
  if (signature.length !== 132) return signature.toLowerCase();
  const end = parseInt(signature.slice(130), 16);
  return signature.slice(0, 130).toLowerCase() + (end < 27 ? end + 27 : end).toString(16);
}

import { z } from 'zod';
import type { Wallet } from 'ethers';
import type { ProposingStack } from '#audit/attester.js';
import { closingProposal } from '#core/attestations.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { printable } from '#core/printable.js';
import { parseMessage } from '#core/schema.js';
import { authorizationHeader, requestText } from '#core/signedRequest.js';
import { storedUpdates } from '#core/transferMessages.js';
import type { ChainMember } from '#services/chain/consortium.js';
import { dial, type OutboundRules } from '#services/outboundUrl.js';
import { readAtMost } from '#services/readAtMost.js';
import { sha256Hex } from '#services/sha256.js';
import { updatesOfStack, type OpenUpdate } from '../model/updates.js';

const LARGEST_ANSWER = 16 * 1024 * 1024;
/** As the API takes them at most. */
const LARGEST_UPDATE = 5 * 1024 ** 3;
const ANSWER_MS = 30_000;
const TRANSFER_MS = 600_000;

/**
 * Another member's stack at its URL on chain, which is that member's word: it is dialled only as the rules allow, and what
 * it answers is parsed.
 * @param wallet of the member that asks. @param open opens updates that were sealed for it
 */
export function memberStack(
  { member, url }: ChainMember,
  { wallet, rules, open }: { wallet: Wallet; rules: OutboundRules; open: OpenUpdate },
): ProposingStack {
  const base = url.replace(/\/+$/, '');
  const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const address = new URL(base + path);
    const timestamp = Math.floor(Date.now() / 1_000);
    const signed = requestText({
      method,
      path: address.pathname + address.search,
      bodyHash: sha256Hex(new TextEncoder().encode(text)),
      timestamp,
      audience: member,
    });
    const authorization = authorizationHeader(wallet.address, timestamp, await wallet.signMessage(signed));
    const answer = await dial(
      address.href,
      {
        method,
        headers: { authorization, ...(body && { 'content-type': 'application/json' }) },
        ...(body && { body: text }),
        signal: AbortSignal.timeout(ANSWER_MS),
      },
      rules,
    );
    const answered = (await readAtMost(answer, LARGEST_ANSWER, 'The stack')).toString();
    if (!answer.ok)
      throw new RoundtableError(
        answer.status === 403 ? 'FORBIDDEN' : 'UNAVAILABLE',
        `The stack of ${member} answered ${answer.status}: ${printable(answered, 300)}`,
      );
    return answered === '' ? null : JSON.parse(answered);
  };
  const stored = {
    updates: async (job: string, round: number) =>
      parseMessage(
        storedUpdates,
        await ask('GET', `/v1/jobs/${job}/rounds/${round}/updates`),
        'The updates of a round',
      ).items,
    readStored: async (place: string) => {
      const answer = await dial(place, { signal: AbortSignal.timeout(TRANSFER_MS) }, rules);
      if (!answer.ok) throw new RoundtableError('UNAVAILABLE', `The store answered ${answer.status}.`);
      return new Uint8Array(await readAtMost(answer, LARGEST_UPDATE, 'The store'));
    },
  };
  return {
    coordinator: member,
    proposals: async () =>
      parseMessage(proposals, await ask('GET', '/v1/attestations'), 'The proposals of a stack').items,
    updateSource: updatesOfStack(stored, open),
    attest: async (attestation) => void (await ask('POST', '/v1/attestations', attestation)),
  };
}

const proposals = z.strictObject({ items: z.array(closingProposal).max(64) });

/** Stacks of all other members that have stated a URL. */
export function othersOf(members: readonly ChainMember[], own: Hex): ChainMember[] {
  return members.filter(({ member, url }) => member !== own && url !== '');
}

import type { OpenAPIHono } from '@hono/zod-openapi';
import { z } from 'zod';
import { actPlace, actRecord, longestActSeconds, signedAct, type SignedAct } from '#core/acts.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { count } from '#core/schema.js';
import { isActSigned } from '#services/acts.js';
import { carryOut } from './actions.js';
import type { ApiParts } from './app.js';
import { addEndpoint, itemsOf } from './endpoint.js';
import { findRole } from './signer.js';

/** How far the clocks of whoever signs and of this stack may be apart. */
const clockSeconds = 60;

/**
 * What people and runners do at a stack. The signature is in the body and says in words what is done, so that any
 * wallet can show it, and the log can keep it for everybody to check.
 */
export function addActs(app: OpenAPIHono, parts: ApiParts): void {
  const { table } = parts;

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/acts/place',
      summary: "What an act is signed for, and the stack's clock.",
      signers: 'anybody',
      status: 200,
      answer: actPlace,
    },
    () => placeOf(parts),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/acts',
      summary: 'The log of acts, ascending; `after` leaves out the records up to that number.',
      signers: 'anybody',
      query: {
        after: z.coerce.number().pipe(count).default(0),
        limit: z.coerce.number().int().min(1).max(1_000).default(1_000),
      },
      status: 200,
      answer: itemsOf(actRecord),
    },
    async ({ query: { after, limit } }) => ({ items: await table.listActs(after, limit) }),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/acts',
      summary:
        'Do what a member, or a runner about itself, has signed (EIP-712, core/eip712.ts). Each act works once.',
      signers: 'anybody',
      body: signedAct,
      status: 200,
      answer: z.object({ act: count, outcome: z.string() }),
    },
    async ({ body }) => {
      await checkAct(parts, body);
      const { statement, signer } = body;
      const role = await findRole(parts.membership, signer, 'member or runner');
      const action = await carryOut(parts, statement, role);
      const nonce = { id: `act#${signer}#${statement.nonce}`, until: statement.expiry + clockSeconds };
      const kind = role.member === signer ? 'member' : 'runner';
      const admitted = await table.recordAct({ kind: 'admitted', role: kind, ...body }, nonce);
      if (!admitted)
        throw new RoundtableError('CONFLICT', 'This very act was done before. Sign it anew to repeat it.');
      const act = admitted.seq;
      try {
        const outcome = await action();
        await table.recordAct({ kind: 'done', act, outcome });
        return { act, outcome };
      } catch (error) {
        await table.recordAct({ kind: 'failed', act, ...reasonOf(error) });
        throw error;
      }
    },
  );
}

/** What nobody threw on purpose shows nothing of itself. */
function reasonOf(error: unknown): { code: string; outcome: string } {
  if (isRoundtableError(error) && error.code !== 'INTERNAL')
    return { code: error.code, outcome: error.message.slice(0, 1_000) };
  return { code: 'INTERNAL', outcome: 'Something in this stack failed; its log has the details.' };
}

async function placeOf({ coordinator, deployment, stackUrl }: ApiParts): Promise<z.output<typeof actPlace>> {
  const { chainId, consortium } = deployment;
  const now = Math.floor(Date.now() / 1_000);
  return { chainId, consortium, stack: coordinator, url: await stackUrl(), now };
}

/** @throws BAD_SIGNATURE, TOO_OLD, FORBIDDEN for another stack, TOO_MANY */
async function checkAct(parts: ApiParts, act: SignedAct): Promise<void> {
  const { statement, signer } = act;
  const { stack, url, issued, expiry } = statement;
  const place = await placeOf(parts);
  if (stack !== place.stack || url !== place.url)
    throw new RoundtableError(
      'FORBIDDEN',
      `The act was signed for the stack of ${stack} at ${url || 'no URL'}; this is that of ${place.stack} at ${place.url || 'no URL'}.`,
    );
  if (issued > place.now + clockSeconds || expiry <= place.now || expiry - issued > longestActSeconds)
    throw new RoundtableError(
      'TOO_OLD',
      `The act is good from ${issued} to ${expiry} (seconds since 1970), and it is ${place.now} here. It may be good for at most ${longestActSeconds} s.`,
    );
  if (!(await isActSigned(place, act, parts.membership)))
    throw new RoundtableError(
      'BAD_SIGNATURE',
      `The signature is not one of ${signer} over this act, for chain ${place.chainId} and the consortium ${place.consortium}; nor does a contract at this address accept it (ERC-1271).`,
    );
  parts.limits.signer(signer);
}

import type { OpenAPIHono } from '@hono/zod-openapi';
import { z } from 'zod';
import { deployment } from '#contracts/deployment.js';
import { RoundtableError } from '#core/errors.js';
import { stackEntrance, type StackEntrance } from '#core/entryMessages.js';
import { address } from '#core/schema.js';
import type { ApiParts } from './app.js';
import { addEndpoint } from './endpoint.js';

/** Which stack this is and where it is entered: for whoever found its URL on chain. */
export function addStack(app: OpenAPIHono, parts: ApiParts): void {
  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/health',
      summary: 'Which stack this is.',
      signers: 'anybody',
      status: 200,
      answer: z.object({
        ok: z.literal(true),
        stack: address,
        deployment,
        chainId: deployment.shape.chainId,
      }),
    },
    async () => ({
      ok: true,
      stack: parts.coordinator,
      deployment: parts.deployment,
      chainId: parts.deployment.chainId,
    }),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/stack',
      summary: "Where runners come in, signed by the stack's member.",
      signers: 'anybody',
      status: 200,
      answer: z.object({ entrance: stackEntrance }),
    },
    async () => ({ entrance: await signedEntrance(parts) }),
  );
}

/** @throws UNAVAILABLE while the member has not signed one */
export async function signedEntrance({
  entrance,
  coordinator,
}: Pick<ApiParts, 'entrance' | 'coordinator'>): Promise<StackEntrance> {
  const signed = await entrance();
  if (signed) return signed;
  throw new RoundtableError(
    'UNAVAILABLE',
    `The member ${coordinator} has not signed where its stack is entered, so no runner can be let in. STACK_ENTRANCE_FILE or STACK_ENTRANCE tells the API.`,
  );
}

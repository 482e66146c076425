import type { OpenAPIHono } from '@hono/zod-openapi';
import { RoundtableError } from '#core/errors.js';
import type { Sha256Hex } from '#core/hex.js';
import { uploadAnswer, uploadRequest } from '#core/messages.js';
import { hash32 } from '#core/schema.js';
import type { ApiParts } from './app.js';
import { cached } from './cached.js';
import { addEndpoint } from './endpoint.js';

/** Transfers go straight to the store, by presigned URLs; the API never carries the bytes. */
export function addArtifacts(app: OpenAPIHono, parts: ApiParts): void {
  const { artifacts, limits } = parts;
  // The runners of a round all ask for the same version at once.
  const locate = cached(async (sha256: Sha256Hex) => {
    if (!(await artifacts.has(sha256)))
      throw new RoundtableError('NOT_FOUND', `There is no artifact ${sha256}.`);
    return artifacts.presignGet(sha256);
  });

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/uploads',
      summary:
        'A URL to PUT exactly these bytes to, with the headers of the answer; null when they are stored.',
      signers: 'member or runner',
      body: uploadRequest,
      status: 200,
      answer: uploadAnswer,
    },
    async ({ body, signer }) => {
      const answer = await artifacts.presignPut(body);
      if (answer.url !== null) await limits.uploads(signer.address, body.size);
      return answer;
    },
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/artifacts/{sha256}',
      summary: 'Redirects to a URL that serves the bytes for a quarter of an hour.',
      signers: 'member or runner',
      params: { sha256: hash32 },
      status: 307,
    },
    async ({ params: { sha256 } }) => {
      const location = await locate(sha256);
      return new Response(null, { status: 307, headers: { location } });
    },
  );
}

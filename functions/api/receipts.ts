import type { OpenAPIHono } from '@hono/zod-openapi';
import { receiptsAnswer, receiptsRequest } from '#core/receipts.js';
import type { ApiParts } from './app.js';
import { addEndpoint } from './endpoint.js';

/** Receipts are signed by the worker; here their runners fetch them. */
export function addReceipts(app: OpenAPIHono, parts: ApiParts): void {
  const { table } = parts;

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/runners/receipts',
      summary:
        "The coordinator's receipts for the signing runner's updates of these rounds, as far as there are any.",
      signers: 'runner',
      body: receiptsRequest,
      status: 200,
      answer: receiptsAnswer,
    },
    async ({ body: { rounds }, signer }) => {
      const found = await Promise.all(
        rounds.map(({ job, round }) => table.listReceipts(job, round, signer.address)),
      );
      return {
        items: found.flat().map(({ job, round, openHash, updateRoot, signature }) => ({
          job,
          round,
          openHash,
          updateRoot,
          signature,
        })),
      };
    },
  );
}

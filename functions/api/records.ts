import type { OpenAPIHono } from '@hono/zod-openapi';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { creditMessage } from '#core/messages.js';
import { jobId, slug, versionIdSchema } from '#core/schema.js';
import { earningView, epochView, versionView } from '#core/views.js';
import type { ApiParts } from './app.js';
import { addEndpoint, itemsOf } from './endpoint.js';

/** What finished rounds left behind: versions, credits, epochs. Written by workflows, only read here. */
export function addRecords(app: OpenAPIHono, parts: ApiParts): void {
  const { table, coordinator } = parts;

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/versions',
      summary: 'Model versions, of one lineage if named, ascending by number.',
      signers: 'anybody',
      query: { lineage: slug.optional() },
      status: 200,
      answer: itemsOf(versionView),
    },
    async ({ query }) => ({ items: await table.listVersions(query.lineage) }),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/versions/{versionId}',
      summary: 'One model version.',
      signers: 'anybody',
      params: { versionId: versionIdSchema },
      status: 200,
      answer: versionView,
    },
    async ({ params: { versionId } }) => {
      const view = await table.getVersion(versionId);
      if (!view) throw new RoundtableError('NOT_FOUND', `There is no model version ${versionId} here.`);
      return view;
    },
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/epochs',
      summary: "Epochs of this stack's rewards, ascending.",
      signers: 'anybody',
      status: 200,
      answer: itemsOf(epochView),
    },
    async () => ({ items: await table.listEpochs(coordinator) }),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/credits',
      summary: 'Shares of rounds that were credited to runners by this stack, of one job or round if named.',
      signers: 'anybody',
      query: { job: jobId.optional(), round: z.coerce.number().int().min(1).optional() },
      status: 200,
      answer: itemsOf(creditMessage),
    },
    async ({ query: { job, round } }) => ({ items: await table.listCredits(coordinator, job, round) }),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/earnings',
      summary: 'What each runner was credited by this stack in all, paid out or not.',
      signers: 'anybody',
      status: 200,
      answer: itemsOf(earningView),
    },
    async () => ({ items: await table.listEarnings(coordinator) }),
  );
}

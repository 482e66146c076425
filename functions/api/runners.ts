import type { OpenAPIHono } from '@hono/zod-openapi';
import { RoundtableError } from '#core/errors.js';
import { enrolRequest, seenRequest } from '#core/messages.js';
import { runnerView, type RunnerView } from '#core/views.js';
import type { ApiParts } from './app.js';
import { addEndpoint, itemsOf } from './endpoint.js';

export function addRunners(app: OpenAPIHono, parts: ApiParts): void {
  const { table } = parts;

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/runners',
      summary: 'Enrolled runners.',
      signers: 'anybody',
      status: 200,
      answer: itemsOf(runnerView),
    },
    async () => ({ items: await table.listRunners() }),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/runners/enrol',
      summary: 'A runner that is registered on chain introduces itself and the data it serves.',
      signers: 'runner',
      body: enrolRequest,
      status: 200,
      answer: runnerView,
    },
    async ({ body, signer }) => {
      const now = new Date().toISOString();
      const enrolled: RunnerView = {
        ...body,
        seq: 0,
        updatedAt: now,
        runner: signer.address,
        member: signer.member,
        enrolledAt: now,
        lastSeen: now,
        connected: false,
        state: 'idle',
        progress: null,
      };
      await table.enrolRunner(enrolled);
      return (await table.getRunner(signer.address)) ?? enrolled;
    },
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/runners/seen',
      summary: 'A runner tells what it is doing.',
      signers: 'runner',
      body: seenRequest,
      status: 204,
    },
    async ({ body, signer }) => {
      if (!(await table.seenRunner(signer.address, body, new Date().toISOString())))
        throw new RoundtableError(
          'NOT_FOUND',
          `Runner ${signer.address} is not enrolled here. Enrol it first.`,
        );
      return null;
    },
  );
}

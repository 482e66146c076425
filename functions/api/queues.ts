import type { OpenAPIHono } from '@hono/zod-openapi';
import { queueView, type QueueView } from '#core/views.js';
import type { ApiParts } from './app.js';
import { cached } from './cached.js';
import { addEndpoint, itemsOf } from './endpoint.js';

const names = queueView.shape.queue.options;

/** The queues between webhooks and workflows, and what could not be processed. */
export function addQueues(app: OpenAPIHono, parts: ApiParts): void {
  const { queues } = parts;
  const look = cached(async (queue: QueueView['queue']) => ({ queue, ...(await queues[queue].look()) }));

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/queues',
      summary: 'The queues, how many messages wait in each, and those that could not be processed, with why.',
      signers: 'anybody',
      status: 200,
      answer: itemsOf(queueView),
    },
    async () => ({ items: await Promise.all(names.map(look)) }),
  );
}

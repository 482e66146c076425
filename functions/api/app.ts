import { OpenAPIHono } from '@hono/zod-openapi';
import { z } from 'zod';
import { deployment, type Deployment } from '#contracts/deployment.js';
import { address } from '#core/schema.js';
import type { Artifacts } from '#services/artifacts.js';
import type { DeadLetters } from '#services/deadLetters.js';
import type { Queue } from '#services/queue.js';
import type { Table } from '#services/table.js';
import type { QueueView } from '#core/views.js';
import type { Logger } from '../log.js';
import { answerProblems } from '../problem.js';
import type { Temporal } from '../temporal.js';
import { addArtifacts } from './artifacts.js';
import { addEndpoint } from './endpoint.js';
import { entityTags } from './entityTags.js';
import { addJobs } from './jobs.js';
import type { Membership } from './membership.js';
import { addQueues } from './queues.js';
import { addRecords } from './records.js';
import { addRunners } from './runners.js';
import { addTriggers } from './triggers.js';

export interface ApiParts {
  table: Table;
  artifacts: Artifacts;
  queue: Queue;
  queues: Record<QueueView['queue'], DeadLetters>;
  temporal: Pick<Temporal, 'signalJob'>;
  membership: Membership;
  coordinator: `0x${string}`;
  deployment: Deployment;
  log: Logger;
}

declare const ROUNDTABLE_VERSION: string | undefined;

/** The stack's API: reads from the table, requests signed by members and runners. Its document is /openapi.json. */
export function apiApp(parts: ApiParts): OpenAPIHono {
  const app = new OpenAPIHono();
  answerProblems(app, parts.log);
  app.use('/v1/*', entityTags);

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
  addJobs(app, parts);
  addTriggers(app, parts);
  addRunners(app, parts);
  addRecords(app, parts);
  addArtifacts(app, parts);
  addQueues(app, parts);

  app.openAPIRegistry.registerComponent('securitySchemes', 'roundtable', {
    type: 'apiKey',
    in: 'header',
    name: 'Authorization',
    description:
      'Roundtable address=0x…, timestamp=…, signature=0x… (EIP-191 over method, path, SHA-256 of the body, time, stack).',
  });
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: {
      title: 'Roundtable',
      version: typeof ROUNDTABLE_VERSION === 'string' ? ROUNDTABLE_VERSION : '0.0.0',
    },
  });
  return app;
}

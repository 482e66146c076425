import { OpenAPIHono } from '@hono/zod-openapi';
import { cors } from 'hono/cors';
import type { Deployment } from '#contracts/deployment.js';
import type { StackEntrance } from '#core/entryMessages.js';
import type { Artifacts } from '#services/artifacts.js';
import type { Updates } from '#services/updates.js';
import type { Uploads } from '#services/uploads.js';
import type { DeadLetters } from '#services/deadLetters.js';
import type { Queue } from '#services/queue.js';
import type { Table } from '#services/table.js';
import type { Telemetry } from '#services/telemetry/telemetry.js';
import type { QueueView } from '#core/views.js';
import { addressOf, type Limits } from '../limits.js';
import type { Logger } from '#services/log.js';
import { measureRequests } from '../measureRequests.js';
import { answerProblems } from '../problem.js';
import type { Temporal } from '../temporal.js';
import { addActs } from './acts.js';
import { addAttestations } from './attestations.js';
import { addArtifacts } from './artifacts.js';
import { entityTags } from './entityTags.js';
import { addJobs } from './jobs.js';
import type { Membership } from './membership.js';
import { addQueues } from './queues.js';
import { addReceipts } from './receipts.js';
import { addRecords } from './records.js';
import { addRunners } from './runners.js';
import { addStack } from './stack.js';
import { addTriggers } from './triggers.js';

export interface ApiParts {
  table: Table;
  artifacts: Artifacts;
  uploads: Uploads;
  updates: Pick<Updates, 'list'>;
  queue: Queue;
  queues: Record<QueueView['queue'], DeadLetters>;
  temporal: Pick<Temporal, 'signalJob'>;
  membership: Membership;
  coordinator: `0x${string}`;
  deployment: Deployment;
  /** The stack's URL as its member published it on chain; empty when it has not. */
  stackUrl: () => Promise<string>;
  /** Where runners come in, as the member signed it; null when it has not. */
  entrance: () => Promise<StackEntrance | null>;
  limits: Limits;
  telemetry: Telemetry;
  log: Logger;
}

/**
 * A page of another origin may read, and send acts: those carry their own signature. There are no cookies, and no
 * Authorization header is let through, so a browser adds nothing of its own to what a page could say anyway.
 */
const otherOrigins = cors({
  origin: '*',
  allowMethods: ['GET', 'POST'],
  allowHeaders: ['content-type', 'if-none-match'],
  exposeHeaders: ['etag', 'date', 'retry-after'],
  maxAge: 600,
});

declare const ROUNDTABLE_VERSION: string | undefined;

/** The stack's API: reads from the table, requests signed by members and runners. Its document is /openapi.json. */
export function apiApp(parts: ApiParts): OpenAPIHono {
  const app = new OpenAPIHono();
  answerProblems(app, parts.log);
  measureRequests(app, '/v1/*', parts.telemetry.metrics);
  for (const path of ['/v1/*', '/health', '/openapi.json']) app.use(path, otherOrigins);
  app.use('/v1/*', async (context, next) => {
    parts.limits.address(addressOf(context));
    await next();
  });
  app.use('/v1/*', entityTags);

  addStack(app, parts);
  addJobs(app, parts);
  addTriggers(app, parts);
  addRunners(app, parts);
  addReceipts(app, parts);
  addAttestations(app, parts);
  addRecords(app, parts);
  addArtifacts(app, parts);
  addQueues(app, parts);
  addActs(app, parts);

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

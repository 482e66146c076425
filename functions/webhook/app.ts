import { randomBytes } from 'node:crypto';
import { Hono } from 'hono';
import { RoundtableError, isRoundtableError } from '#core/errors.js';
import { slug } from '#core/schema.js';
import type { Queue } from '#services/queue.js';
import type { Table } from '#services/table.js';
import type { Telemetry } from '#services/telemetry/telemetry.js';
import { readBody } from '../body.js';
import { queueJob } from '../jobs.js';
import type { Limits } from '../limits.js';
import type { Logger } from '#services/log.js';
import { measureRequests } from '../measureRequests.js';
import { answerProblems } from '../problem.js';
import { readDelivery } from './delivery.js';

export interface WebhookParts {
  table: Pick<Table, 'getTrigger' | 'createJob' | 'getJob'>;
  queue: Queue;
  coordinator: `0x${string}`;
  limits: Pick<Limits, 'trigger'>;
  telemetry: Telemetry;
  log: Logger;
}

/** POST /webhooks/{trigger}: 202 with the job, or 200 with the reason why an authentic delivery starts none. */
export function webhookApp(parts: WebhookParts): Hono {
  const app = new Hono();
  answerProblems(app, parts.log);
  measureRequests(app, '/webhooks/*', parts.telemetry.metrics);

  app.post('/webhooks/:trigger', async (context) => {
    const receivedAt = Date.now();
    const name = context.req.param('trigger');
    const { headers } = context.req.raw;
    const body = await readBody(context.req.raw);
    const now = receivedAt / 1_000;
    const trigger = slug.safeParse(name).success ? await parts.table.getTrigger(name) : null;
    if (!trigger) throw unknownTrigger(name, headers, body, now);

    const delivery = readDelivery(trigger.view, trigger.secrets, headers, body, now);
    if (delivery.kind === 'ignored') return context.json({ ignored: delivery.reason }, 200);
    // Only what is new counts: whoever repeats old deliveries must not use up the sender's share.
    if (!(await parts.table.getJob(delivery.job))) parts.limits.trigger(trigger.view.name);
    const { job, repeated } = await queueJob(parts, {
      job: delivery.job,
      delivery: delivery.delivery,
      spec: trigger.view.spec,
      trigger: trigger.view.name,
      coordinator: parts.coordinator,
      receivedAt,
    });
    return context.json({ job, repeated }, 202);
  });

  return app;
}

/** Checks the signature against a secret that nobody has, so that the answer takes as long as for a known trigger. */
function unknownTrigger(name: string, headers: Headers, body: Uint8Array, now: number): RoundtableError {
  const kind = headers.has('webhook-id') ? 'standard' : 'github';
  try {
    readDelivery({ name: 'none', kind, events: [], refs: [] }, [decoySecret], headers, body, now);
  } catch (error) {
    if (!isRoundtableError(error)) throw error;
  }
  return new RoundtableError(
    'UNKNOWN_TRIGGER',
    `There is no trigger ${JSON.stringify(name.slice(0, 63))}. List them with: roundtable trigger list`,
  );
}

const decoySecret = `whsec_${randomBytes(32).toString('base64')}`;

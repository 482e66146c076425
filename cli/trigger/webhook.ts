/** Sends a trigger what its sender would send: GitHub's `push`, or a Standard Webhooks call. */
import { createHmac, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import type { TriggerView } from '#core/views.js';

export interface SentWebhook {
  /** The id that the call had. */
  delivery: string;
  status: number;
  job: string | null;
  /** True when the same delivery had come before. */
  repeated: boolean;
  /** Why an authentic call started nothing. */
  ignored: string | null;
}

/**
 * @param trigger the events and refs that it listens to decide what is sent
 * @throws UNAVAILABLE when nothing answers; the endpoint's refusal otherwise (BAD_SIGNATURE, UNKNOWN_TRIGGER, ...)
 */
export async function sendWebhook(options: {
  api: string;
  trigger: Pick<TriggerView, 'name' | 'kind' | 'refs'>;
  secret: string;
}): Promise<SentWebhook> {
  const { api, trigger, secret } = options;
  const delivery = randomUUID();
  const { headers, body } =
    trigger.kind === 'github' ? githubPush(trigger, delivery, secret) : standardCall(delivery, secret);
  const response = await reach(`${api}/webhooks/${trigger.name}`, { method: 'POST', headers, body });
  const text = await response.text();
  const { job, repeated, ignored, code, detail } = answer.catch({}).parse(parse(text));
  if (!response.ok)
    throw new RoundtableError(
      response.status === 404 ? 'UNKNOWN_TRIGGER' : response.status === 401 ? 'BAD_SIGNATURE' : 'UNAVAILABLE',
      `The trigger ${trigger.name} answered ${response.status}${code === undefined ? '' : ` (${code})`}: ${detail ?? text.slice(0, 200)}`,
    );
  return {
    delivery,
    status: response.status,
    job: job ?? null,
    repeated: repeated ?? false,
    ignored: ignored ?? null,
  };
}

const answer = z.object({
  job: z.string().optional(),
  repeated: z.boolean().optional(),
  ignored: z.string().optional(),
  code: z.string().optional(),
  detail: z.string().optional(),
});

/** https://docs.github.com/webhooks/webhook-events-and-payloads#push, the fields that matter to a receiver. */
function githubPush({ refs }: Pick<TriggerView, 'refs'>, delivery: string, secret: string) {
  const body = JSON.stringify({
    ref: refs[0] ?? 'refs/heads/main',
    // The job's id is a hash of the body: a new commit is a new job.
    after: randomUUID().replaceAll('-', '').padEnd(40, '0'),
    repository: { full_name: 'roundtable/demo' },
    pusher: { name: 'roundtable trigger test' },
  });
  return {
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'roundtable',
      'x-github-event': 'push',
      'x-github-delivery': delivery,
      'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    },
  };
}

/** https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md */
function standardCall(delivery: string, secret: string) {
  const timestamp = Math.floor(Date.now() / 1000);
  const body = JSON.stringify({
    type: 'roundtable.test',
    timestamp: new Date(timestamp * 1000).toISOString(),
    data: {},
  });
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const signature = createHmac('sha256', key).update(`${delivery}.${timestamp}.${body}`).digest('base64');
  return {
    body,
    headers: {
      'content-type': 'application/json',
      'webhook-id': delivery,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': `v1,${signature}`,
    },
  };
}

async function reach(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.timeout(30_000) });
  } catch (cause) {
    throw new RoundtableError(
      'UNAVAILABLE',
      `Nothing answers at ${new URL(url).origin}. See what runs with \`roundtable status\`.`,
      { cause },
    );
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

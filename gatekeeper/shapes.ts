/**
 * What may stand in the requests that pass: temporal.api.workflowservice.v1 and the messages in it, as
 * https://github.com/temporalio/api has them, less what a runner has no use for. Left out on purpose: versioning,
 * sticky queues, limits on the queue's rate, control queues, retry delays, stack traces, failures that only the
 * server may state (time-outs, terminations).
 */
import { sealedEncoding } from '#services/runnerPayloads.js';
import { bytesOf, Malformed, readMessage, textOf, type Message, type Rule, type Shape } from './fields.js';

const text = (most: number): Rule => ({ type: 'text', most });
const name = text(255);
const token: Rule = { type: 'bytes', most: 8_192 };
const number: Rule = { type: 'number' };
const within = (shape: () => Shape): Rule => ({ type: 'message', shape });

/** Longest part of a payload; a request as a whole is smaller (frames.ts). */
const payloadBytes = 1024 * 1024;

const metadataEntry: Shape = { 1: name, 2: { type: 'bytes', most: 1_024 } };
const payload: Rule = {
  type: 'message',
  shape: () => ({
    1: { type: 'message', shape: () => metadataEntry, times: 8 },
    2: { type: 'bytes', most: payloadBytes },
  }),
  check: requireSealed,
};
const payloads: Rule = within(() => ({ 1: { ...payload, times: 16 } as Rule }));

/** temporal.api.failure.v1.Failure */
const failure: Shape = {
  1: text(16_384),
  2: name,
  4: within(() => failure),
  5: within(() => ({ 1: name, 2: number, 3: payloads })),
  7: within(() => ({ 1: payloads })),
  20: payload,
};

export const shapes = {
  describeNamespace: { 1: name },
  pollActivityTaskQueue: { 1: name, 2: within(() => ({ 1: name, 2: number, 3: name })), 3: name },
  respondActivityTaskCompleted: { 1: token, 2: payloads, 3: name, 4: name },
  respondActivityTaskFailed: { 1: token, 2: within(() => failure), 3: name, 4: name, 5: payloads },
  respondActivityTaskCanceled: { 1: token, 2: payloads, 3: name, 4: name },
  recordActivityTaskHeartbeat: { 1: token, 2: payloads, 3: name, 4: name },
} satisfies Record<string, Shape>;

/** temporal.api.taskqueue.v1.TaskQueue */
export function readTaskQueue(message: Message): { name: string; kind: bigint; normalName: string } {
  const queue = readMessage(bytesOf(message, 2), { 1: name, 2: number, 3: name });
  const [kind = 0n] = queue.get(2) ?? [];
  return { name: textOf(queue, 1), kind: typeof kind === 'bigint' ? kind : 0n, normalName: textOf(queue, 3) };
}

/** What lies open in a payload from a runner has been forged or has leaked: neither is let through. */
function requireSealed(message: Message): void {
  const entries = (message.get(1) ?? []).map((entry) => readMessage(entry as Uint8Array, metadataEntry));
  const names = entries.map((entry) => textOf(entry, 1));
  if (new Set(names).size !== names.length) throw new Malformed("a payload's metadata names a key twice");
  const encoding = entries.find((entry) => textOf(entry, 1) === 'encoding');
  if (!encoding || textOf(encoding, 2) !== sealedEncoding) throw new Malformed('a payload is not encrypted');
}

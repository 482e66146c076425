import { describe, expect, test } from '@jest/globals';
import { defaultPayloadConverter, type Payload, type SerializationContext } from '@temporalio/common';
import { toHex } from '#core/hex.js';
import { revealActivityId, trainActivityId } from '#core/names.js';
import { coordinatorCodec, runnerCodec, sealedEncoding } from '#services/runnerPayloads.js';
import { generateX25519Key } from '#services/x25519.js';

const runner = `0x${'ab'.repeat(20)}` as const;
const other = `0x${'cd'.repeat(20)}` as const;
const member = generateX25519Key();
const own = generateX25519Key();

const at = (change: { workflowId?: string; activityId?: string; namespace?: string } = {}) =>
  ({
    type: 'activity',
    namespace: 'default',
    workflowId: 'job/round/1',
    activityId: trainActivityId(runner),
    isLocal: false,
    ...change,
  }) satisfies SerializationContext;

const coordinator = (key = own) =>
  coordinatorCodec(member.privateKey, (asked) =>
    Promise.resolve(asked === runner || asked === other ? toHex(key.publicKey) : null),
  );
const worker = () => runnerCodec(runner, own.privateKey, member.publicKey);
const toPayload = (value: unknown): Payload => defaultPayloadConverter.toPayload(value);
const valueOf = ([payload]: Payload[]): unknown => payload && defaultPayloadConverter.fromPayload(payload);
const changed = (payload: Payload | undefined, change: (payload: Payload) => Payload): Payload[] => [
  change({ ...payload, metadata: { ...payload?.metadata } }),
];
const flipped = (bytes: Uint8Array | null | undefined, index: number): Uint8Array => {
  const copy = Uint8Array.from(bytes ?? []);
  copy[index] = (copy[index] ?? 0) ^ 1;
  return copy;
};

const task = { secret: 'what to train' };
const answer = { loss: 0.1 };

async function exchange() {
  const here = worker();
  const asked = await coordinator().encode([toPayload(task)], at());
  const read = await here.decode(asked, at());
  const answered = await here.encode([toPayload(answer)], at());
  return { here, asked, read, answered };
}

test('task and answer arrive as they were, and cannot be read on the way', async () => {
  const { asked, read, answered } = await exchange();
  expect(valueOf(read)).toEqual(task);
  expect(valueOf(await coordinator().decode(answered, at()))).toEqual(answer);
  for (const [payload] of [asked, answered]) {
    expect(Buffer.from(payload?.metadata?.['encoding'] ?? []).toString()).toBe(sealedEncoding);
    expect(Buffer.from(payload?.data ?? []).toString('latin1')).not.toMatch(/secret|loss|json/);
  }
  expect(await coordinator().encode([toPayload(task)], at())).not.toEqual(asked);
});

test('what a runner said when it was to train is no answer when it is to reveal', async () => {
  const revealing = at({ activityId: revealActivityId(runner) });
  const { here, asked, answered } = await exchange();
  await expect(here.decode(asked, revealing)).rejects.toMatchObject({ code: 'SEAL_BROKEN' });
  expect(valueOf(await coordinator().decode(answered, revealing))).toMatchObject({ kind: 'unreadable' });
  const second = await coordinator().encode([toPayload(task)], revealing);
  expect(valueOf(await here.decode(second, revealing))).toEqual(task);
  const revealed = await here.encode([toPayload(answer)], revealing);
  expect(valueOf(await coordinator().decode(revealed, revealing))).toEqual(answer);
});

test('what is not between a workflow and a runner passes as it is', async () => {
  const payloads = [toPayload(task)];
  for (const context of [
    undefined,
    { type: 'workflow', namespace: 'default', workflowId: 'job' } as const,
    at({ activityId: '7' }),
    { ...at(), isLocal: true },
  ]) {
    expect(await coordinator().encode(payloads, context)).toBe(payloads);
    expect(await coordinator().decode(payloads, context)).toBe(payloads);
  }
});

describe('a runner takes only what the member sealed for it and this task', () => {
  test.each([
    ['in the clear', () => Promise.resolve([toPayload(task)]), at()],
    ['of another workflow', async () => (await exchange()).asked, at({ workflowId: 'job/round/2' })],
    ['of another namespace', async () => (await exchange()).asked, at({ namespace: 'other' })],
    ['sealed for another key', () => coordinator(generateX25519Key()).encode([toPayload(task)], at()), at()],
    [
      'sealed by another member',
      () =>
        coordinatorCodec(generateX25519Key().privateKey, () => Promise.resolve(toHex(own.publicKey))).encode(
          [toPayload(task)],
          at(),
        ),
      at(),
    ],
    [
      'altered',
      async () =>
        changed((await exchange()).asked[0], (payload) => ({ ...payload, data: flipped(payload.data, 40) })),
      at(),
    ],
    [
      'with another ticket',
      async () =>
        changed((await exchange()).asked[0], (payload) => ({
          ...payload,
          metadata: { ...payload.metadata, ticket: new Uint8Array(32) },
        })),
      at(),
    ],
    [
      "of another runner's activity",
      () => coordinator().encode([toPayload(task)], at({ activityId: trainActivityId(other) })),
      at({ activityId: trainActivityId(other) }),
    ],
  ])('%s', async (_, payloads, context) => {
    await expect(worker().decode(await payloads(), context)).rejects.toMatchObject({ code: 'SEAL_BROKEN' });
  });

  test('and seals no answer for what it was not asked', async () => {
    await expect(worker().encode([toPayload(answer)], at())).rejects.toMatchObject({ code: 'SEAL_BROKEN' });
  });
});

describe('what no honest runner sent reaches the workflow as unreadable, and never stops it', () => {
  const read = async (payloads: Payload[], context = at()) =>
    valueOf(await coordinator().decode(payloads, context)) as { kind?: string; reason?: string };

  test.each([
    ['in the clear', async () => [toPayload(answer)], at()],
    ['empty', async () => [{}], at()],
    ["the member's own task", async () => (await exchange()).asked, at()],
    ['of another round', async () => (await exchange()).answered, at({ workflowId: 'job/round/2' })],
    [
      'of another runner',
      async () => (await exchange()).answered,
      at({ activityId: trainActivityId(other) }),
    ],
    [
      'with a key that never entered',
      async () =>
        changed((await exchange()).answered[0], (payload) => ({
          ...payload,
          metadata: { ...payload.metadata, 'runner-key': generateX25519Key().publicKey },
        })),
      at(),
    ],
    [
      'with a key of low order',
      async () =>
        changed((await exchange()).answered[0], (payload) => ({
          ...payload,
          metadata: { ...payload.metadata, 'runner-key': new Uint8Array(32) },
        })),
      at(),
    ],
    [
      'altered',
      async () =>
        changed((await exchange()).answered[0], (payload) => ({
          ...payload,
          data: flipped(payload.data, 0),
        })),
      at(),
    ],
    [
      'cut',
      async () =>
        changed((await exchange()).answered[0], (payload) => ({ ...payload, data: new Uint8Array(43) })),
      at(),
    ],
  ])('%s', async (_, payloads, context) => {
    const first = await payloads();
    const value = await read(first, context);
    expect(value.kind).toBe('unreadable');
    // A replay must come to the same words.
    expect(await read(first, context)).toEqual(value);
  });
});

test('a replay reads an answer with the key of its time, whatever the runner entered with since', async () => {
  const { answered } = await exchange();
  const later = coordinatorCodec(member.privateKey, () => Promise.reject(new Error('nobody is to be asked')));
  expect(valueOf(await later.decode(answered, at()))).toEqual(answer);
});

test("a runner's own heartbeat comes back to it with the next attempt", async () => {
  const { asked, answered } = await exchange();
  const next = worker();
  await next.decode(asked, at());
  expect(valueOf(await next.decode(answered, at()))).toEqual(answer);
});

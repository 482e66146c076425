/**
 * Encryption of what workflows and runners tell each other through Temporal: tasks, answers, heartbeats' details and
 * failures' details. Neither Temporal's operator nor a gatekeeper can read or forge them.
 *
 * A payload's data is: salt 16, nonce 12, ciphertext, tag 16. The key is HKDF-SHA256 with that salt of the X25519
 * agreement between the stack's member and the runner; AES-256-GCM binds the direction, Temporal's namespace, the
 * workflow's id and the activity's id, which names the runner.
 *
 * With each task goes a ticket: the member's MAC over the same ids and the runner's key. Answers bring it back, so
 * that years later, after any change of keys at the runner, a replayed workflow reads what it read the first time
 * without asking anybody.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import type { Payload, PayloadCodec, SerializationContext } from '@temporalio/common';
import { RoundtableError } from '#core/errors.js';
import { fromHex, type Hex, type RunnerId } from '#core/hex.js';
import { agreeX25519, x25519PublicKey } from './x25519.js';

/** `encoding` in the metadata of an encrypted payload. */
export const sealedEncoding = 'binary/roundtable-1';

/** What a workflow reads in the place of a payload that its runner could not have sealed. */
export interface Unreadable {
  kind: 'unreadable';
  reason: string;
}

/**
 * The codec of the stack's workflow worker. Activities of runners are sealed, everything else passes as it is.
 * What a runner sends and nobody can read becomes an Unreadable: an error would stop the workflow, and with it the
 * round, for all the others.
 * @param keyOf the runner's X25519 key, as it entered the stack with
 * @throws (encode) UNAVAILABLE as keyOf does; NOT_FOUND for a runner that never entered
 */
export function coordinatorCodec(
  privateKey: Uint8Array,
  keyOf: (runner: RunnerId) => Promise<Hex | null>,
): PayloadCodec {
  const ticketKey = new Uint8Array(hkdfSync('sha256', privateKey, '', 'roundtable/ticket/1', 32));
  const ticketFor = (ids: Ids, runnerKey: Uint8Array): Uint8Array =>
    createHmac('sha256', ticketKey).update(textOf(ids)).update(runnerKey).digest();
  const agreements = new Agreements(privateKey);
  return {
    async encode(payloads, context) {
      const ids = idsOf(context);
      if (!ids) return payloads;
      const hex = await keyOf(ids.runner);
      if (hex === null)
        throw new RoundtableError('NOT_FOUND', `Runner ${ids.runner} has not entered this stack.`);
      const runnerKey = fromHex(hex, 32);
      const ticket = ticketFor(ids, runnerKey);
      const shared = agreements.with(runnerKey);
      return payloads.map((payload) => seal(payload, shared, ids, 'to runner', { runnerKey, ticket }));
    },
    async decode(payloads, context) {
      const ids = idsOf(context);
      if (!ids) return payloads;
      return payloads.map((payload) => {
        try {
          const { runnerKey, ticket } = lettersOf(payload);
          if (!timingSafeEqual(ticketFor(ids, runnerKey), ticket))
            throw broken('its ticket is for another task');
          return open(payload, agreements.with(runnerKey), ids, 'from runner');
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          return plainJson({ kind: 'unreadable', reason } satisfies Unreadable);
        }
      });
    },
  };
}

/**
 * The codec of a runner for one stack.
 * @param stackKey the member's X25519 key
 * @throws (decode) SEAL_BROKEN for what was not sealed by the member for this runner and this task
 */
export function runnerCodec(runner: RunnerId, privateKey: Uint8Array, stackKey: Uint8Array): PayloadCodec {
  const shared = new Agreements(privateKey).with(stackKey);
  const own = x25519PublicKey(privateKey);
  const tickets = new Map<string, Uint8Array>();
  const ownIds = (context: SerializationContext | undefined): Ids => {
    const ids = idsOf(context);
    if (!ids || ids.runner !== runner) throw broken('it belongs to no task of this runner');
    return ids;
  };
  return {
    async encode(payloads, context) {
      const ids = ownIds(context);
      const ticket = tickets.get(textOf(ids));
      if (!ticket) throw broken('there was no task to answer');
      return payloads.map((payload) => seal(payload, shared, ids, 'from runner', { runnerKey: own, ticket }));
    },
    async decode(payloads, context) {
      const ids = ownIds(context);
      return payloads.map((payload) => {
        const { runnerKey, ticket } = lettersOf(payload);
        if (!timingSafeEqual(runnerKey, own)) throw broken('it was sealed for another key of this runner');
        const opened = openTask(payload, shared, ids);
        if (!tickets.has(textOf(ids)) && tickets.size >= keptTickets)
          tickets.delete(tickets.keys().next().value ?? '');
        tickets.set(textOf(ids), ticket);
        return opened;
      });
    },
  };
}

type Direction = 'to runner' | 'from runner';

interface Ids {
  runner: RunnerId;
  namespace: string;
  workflow: string;
  activity: string;
}

interface Letters {
  runnerKey: Uint8Array;
  ticket: Uint8Array;
}

const saltLength = 16;
const nonceLength = 12;
const tagLength = 16;
const keyLength = 32;
const keptTickets = 64;
const runnerActivity = /^(?:train|reveal)\/(0x[0-9a-f]{40})$/;

/** Null: not a runner's activity. */
function idsOf(context: SerializationContext | undefined): Ids | null {
  if (context?.type !== 'activity' || context.isLocal) return null;
  const { namespace, workflowId, activityId = '' } = context;
  const runner = runnerActivity.exec(activityId)?.[1] as RunnerId | undefined;
  if (!runner || workflowId === undefined) return null;
  return { runner, namespace, workflow: workflowId, activity: activityId };
}

/** Without ambiguity, whatever the ids hold. */
const textOf = ({ namespace, workflow, activity }: Ids): string =>
  JSON.stringify(['roundtable payload 1', namespace, workflow, activity]);

function seal(
  payload: Payload,
  shared: Uint8Array,
  ids: Ids,
  direction: Direction,
  letters: Letters,
): Payload {
  const salt = randomBytes(saltLength);
  const nonce = randomBytes(nonceLength);
  const cipher = createCipheriv('aes-256-gcm', keyFor(shared, salt), nonce, { authTagLength: tagLength });
  cipher.setAAD(additionalData(ids, direction, letters));
  const sealed = [cipher.update(packed(payload)), cipher.final(), cipher.getAuthTag()];
  return {
    metadata: {
      encoding: Buffer.from(sealedEncoding),
      'runner-key': letters.runnerKey,
      ticket: letters.ticket,
    },
    data: Buffer.concat([salt, nonce, ...sealed]),
  };
}

/** A task; or what the runner itself said in a heartbeat, which comes back to it with the next attempt. */
function openTask(payload: Payload, shared: Uint8Array, ids: Ids): Payload {
  try {
    return open(payload, shared, ids, 'to runner');
  } catch {
    return open(payload, shared, ids, 'from runner');
  }
}

function open(payload: Payload, shared: Uint8Array, ids: Ids, direction: Direction): Payload {
  const data = payload.data ?? new Uint8Array(0);
  if (data.length < saltLength + nonceLength + tagLength) throw broken('it ends early');
  const nonceEnd = saltLength + nonceLength;
  const decipher = createDecipheriv(
    'aes-256-gcm',
    keyFor(shared, data.subarray(0, saltLength)),
    data.subarray(saltLength, nonceEnd),
    { authTagLength: tagLength },
  );
  decipher.setAAD(additionalData(ids, direction, lettersOf(payload)));
  decipher.setAuthTag(data.subarray(data.length - tagLength));
  let plain: Buffer;
  try {
    plain = Buffer.concat([
      decipher.update(data.subarray(nonceEnd, data.length - tagLength)),
      decipher.final(),
    ]);
  } catch {
    throw broken('it was altered, or sealed by another key or for another task');
  }
  return unpacked(plain);
}

function lettersOf({ metadata = {} }: Payload): Letters {
  const field = (name: string) => (metadata && Object.hasOwn(metadata, name) ? metadata[name] : undefined);
  if (Buffer.from(field('encoding') ?? []).toString() !== sealedEncoding) throw broken('it is not encrypted');
  const [runnerKey, ticket] = [field('runner-key'), field('ticket')];
  if (runnerKey?.length !== keyLength || ticket?.length !== keyLength)
    throw broken('its key or ticket is missing');
  return { runnerKey, ticket };
}

function additionalData(ids: Ids, direction: Direction, { runnerKey, ticket }: Letters): Uint8Array {
  return Buffer.concat([runnerKey, ticket, Buffer.from(direction), Buffer.from(textOf(ids))]);
}

function keyFor(shared: Uint8Array, salt: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', shared, salt, 'roundtable/payload/1', keyLength));
}

/** Length of the metadata u32 LE, metadata as JSON of base64, data. */
function packed({ metadata, data }: Payload): Uint8Array {
  const entries = Object.entries(metadata ?? {}).map(([name, value]) => [
    name,
    Buffer.from(value).toString('base64'),
  ]);
  const head = Buffer.from(JSON.stringify(entries));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  return Buffer.concat([length, head, data ?? new Uint8Array(0)]);
}

/** Only what packed made comes here: its seal was intact. */
function unpacked(bytes: Buffer): Payload {
  const end = 4 + bytes.readUInt32LE(0);
  const entries = JSON.parse(bytes.subarray(4, end).toString()) as [string, string][];
  return {
    metadata: Object.fromEntries(entries.map(([name, value]) => [name, Buffer.from(value, 'base64')])),
    data: bytes.subarray(end),
  };
}

function plainJson(value: object): Payload {
  return { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from(JSON.stringify(value)) };
}

/** X25519 agreements by the other's key: the same few again and again. */
class Agreements {
  readonly #known = new Map<string, Uint8Array>();

  constructor(private readonly privateKey: Uint8Array) {}

  with(publicKey: Uint8Array): Uint8Array {
    const name = Buffer.from(publicKey).toString('hex');
    let shared = this.#known.get(name);
    if (!shared) {
      if (this.#known.size >= mostAgreements) this.#known.delete(this.#known.keys().next().value ?? '');
      shared = agreeX25519(this.privateKey, publicKey);
      this.#known.set(name, shared);
    }
    return shared;
  }
}

const mostAgreements = 10_000;

function broken(why: string): RoundtableError {
  return new RoundtableError('SEAL_BROKEN', `A payload between workflow and runner cannot be read: ${why}.`);
}

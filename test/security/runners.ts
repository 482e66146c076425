import { randomBytes } from 'node:crypto';
import { connect, constants, type ClientHttp2Session, type OutgoingHttpHeaders } from 'node:http2';
import type { ConnectionOptions } from 'node:tls';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import proto, { type temporal } from '@temporalio/proto';
import type { RunnerId } from '#core/hex.js';
import { toHex } from '#core/hex.js';
import { gatekeeperHost, generateTlsKey, issueCertificate, type Certificate } from '#services/certificate.js';
import type { Table } from '#services/table.js';
import { runnerCodec } from '#services/runnerPayloads.js';
import { generateX25519Key, type X25519KeyPair } from '#services/x25519.js';
import type { TestGatekeeper } from '../support/gatekeeper.js';

const { PollActivityTaskQueueRequest, PollActivityTaskQueueResponse, RespondActivityTaskCompletedRequest } =
  proto.temporal.api.workflowservice.v1;

/** Somebody with a certificate. */
export interface TestRunner {
  runner: RunnerId;
  certificate: Certificate;
  sealing: X25519KeyPair;
}

export async function makeRunner(seconds = 600): Promise<TestRunner> {
  const privateKey = generateTlsKey();
  return {
    runner: toHex(randomBytes(20)),
    certificate: await issueCertificate({ privateKey, name: 'runner', seconds, purpose: 'runner' }),
    sealing: generateX25519Key(),
  };
}

let nonces = 0;

/** As the API does it for a runner that signed for its certificate. */
export async function enter(table: Table, { runner, certificate, sealing }: TestRunner): Promise<void> {
  await table.enterRunner(
    {
      runner,
      fingerprint: certificate.fingerprint,
      sealingKey: toHex(sealing.publicKey),
      expiresAt: certificate.expiresAt,
    },
    ++nonces,
  );
}

/** An HTTP/2 session as any program could open it. */
export function knock(
  gatekeeper: TestGatekeeper,
  runner: Pick<TestRunner, 'certificate'> | null,
  tls: ConnectionOptions = {},
): ClientHttp2Session {
  const session = connect(`https://${gatekeeper.address}`, {
    ca: gatekeeper.certificate.certificate,
    servername: gatekeeperHost,
    ...(runner && { cert: runner.certificate.certificate, key: runner.certificate.privateKey }),
    ...tls,
  });
  session.on('error', () => undefined);
  return session;
}

export interface Reply {
  /** gRPC's; null when the session ended without one. */
  status: number | null;
  message: string;
  body: Buffer;
}

const service = '/temporal.api.workflowservice.v1.WorkflowService/';

/** One gRPC call; `body` is sent as it is. */
export function send(
  session: ClientHttp2Session,
  method: string,
  body: Uint8Array,
  headers: OutgoingHttpHeaders = {},
): Promise<Reply> {
  return new Promise((resolve) => {
    const none: Reply = { status: null, message: '', body: Buffer.alloc(0) };
    if (session.destroyed || session.closed) return resolve(none);
    const stream = session.request({
      ':method': 'POST',
      ':path': method.startsWith('/') ? method : service + method,
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': '20S',
      ...headers,
    });
    const chunks: Buffer[] = [];
    let reply = none;
    const note = (received: Record<string, unknown>) => {
      if (received['grpc-status'] !== undefined)
        reply = {
          ...reply,
          status: Number(received['grpc-status']),
          message: decodeURIComponent(String(received['grpc-message'] ?? '')),
        };
    };
    stream.on('response', note).on('trailers', note);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => undefined);
    stream.once('close', () => resolve({ ...reply, body: Buffer.concat(chunks).subarray(5) }));
    stream.end(body);
  });
}

export function framed(message: Uint8Array, compressed = 0): Uint8Array {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** What an honest worker's poll looks like. */
export function pollOf(
  runner: RunnerId,
  change: temporal.api.workflowservice.v1.IPollActivityTaskQueueRequest = {},
) {
  return framed(
    PollActivityTaskQueueRequest.encode({
      namespace: 'default',
      taskQueue: { name: `runner/${runner}`, kind: 1 },
      identity: 'somebody else',
      ...change,
    }).finish(),
  );
}

/** Polls until there is a task. */
export async function takeTask(session: ClientHttp2Session, runner: RunnerId) {
  for (;;) {
    const reply = await send(session, 'PollActivityTaskQueue', pollOf(runner));
    if (reply.status !== 0) throw new Error(`the poll ended with ${reply.status}: ${reply.message}`);
    const task = PollActivityTaskQueueResponse.decode(reply.body);
    if (task.taskToken.length > 0) return task;
  }
}

type Task = Awaited<ReturnType<typeof takeTask>>;

/** What a payload of a task is bound to. */
export function contextOf({ workflowExecution, activityId }: Task) {
  const workflowId = workflowExecution?.workflowId ?? '';
  return { type: 'activity', namespace: 'default', workflowId, activityId, isLocal: false } as const;
}

/** A runner's answer to its task, sealed as it must be. */
export async function resultOf(task: Task, runner: TestRunner, memberKey: Uint8Array, value: unknown) {
  const codec = runnerCodec(runner.runner, runner.sealing.privateKey, memberKey);
  await codec.decode((task.input?.payloads ?? []) as Payload[], contextOf(task));
  return { payloads: await codec.encode([defaultPayloadConverter.toPayload(value)], contextOf(task)) };
}

export async function completionOf(task: Task, runner: TestRunner, memberKey: Uint8Array, value: unknown) {
  const result = await resultOf(task, runner, memberKey, value);
  return completion({ taskToken: task.taskToken, result });
}

/** An answer as it is given here, whatever is wrong with it. */
export const completion = (change: temporal.api.workflowservice.v1.IRespondActivityTaskCompletedRequest) =>
  framed(RespondActivityTaskCompletedRequest.encode({ namespace: 'default', ...change }).finish());

export function closed(session: ClientHttp2Session): Promise<number> {
  const began = performance.now();
  return new Promise((resolve) => {
    if (session.destroyed) resolve(0);
    else session.once('close', () => resolve(performance.now() - began));
  });
}

export const hangUp = (session: ClientHttp2Session): void =>
  session.destroy(undefined, constants.NGHTTP2_NO_ERROR);

import {
  connect,
  constants,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { connect as connectTls } from 'node:tls';
import type { Logger } from 'pino';
import {
  callHeaders,
  checkCredentials,
  explainFailure,
  tlsOptions,
  type TemporalPlace,
} from '#services/temporal.js';
import { frame, prefix, Refused, status } from './frames.js';
import { limits } from './limits.js';

/** What Temporal answered: either a message, or a status other than OK with its headers. */
export type Answer = { message: Uint8Array } | { failure: OutgoingHttpHeaders };

/** Temporal's frontend, over as many HTTP/2 sessions as there are calls for. */
export class Upstream {
  readonly #sessions = new Map<ClientHttp2Session, number>();
  readonly #headers: OutgoingHttpHeaders;
  #explaining = false;

  /** @throws TEMPORAL_REFUSED for credentials that cannot work */
  constructor(
    private readonly place: TemporalPlace,
    private readonly log: Pick<Logger, 'error'>,
  ) {
    checkCredentials(place);
    this.#headers = callHeaders(place);
  }

  /**
   * @param signal ends the call at Temporal too
   * @throws Refused UNAVAILABLE when Temporal does not answer
   */
  call(
    path: string,
    message: Uint8Array,
    headers: OutgoingHttpHeaders,
    signal: AbortSignal,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const session = this.#session();
      const stream = session.request({
        ...headers,
        ...this.#headers,
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        'grpc-accept-encoding': 'identity',
      });
      this.#count(session, 1);
      const chunks: Uint8Array[] = [];
      let size = 0;
      let first: IncomingHttpHeaders = {};
      let last: IncomingHttpHeaders = {};
      const cancel = () => stream.close(constants.NGHTTP2_CANCEL);
      signal.addEventListener('abort', cancel, { once: true });
      stream.on('response', (received) => (first = received));
      stream.on('trailers', (received) => (last = received));
      stream.on('data', (chunk: Uint8Array) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > limits.answerBytes) stream.close(constants.NGHTTP2_CANCEL);
      });
      stream.once('error', () => undefined);
      stream.once('close', () => {
        signal.removeEventListener('abort', cancel);
        this.#count(session, -1);
        const code = last['grpc-status'] ?? first['grpc-status'];
        // A task that came in the moment of the end is handed on.
        if (code === undefined) {
          if (!signal.aborted) this.#explain(new Error('no answer'));
          reject(signal.aborted ? (signal.reason as Error) : unavailable());
        } else if (code === '0') {
          const body = Buffer.concat(chunks);
          if (size < prefix || body.readUInt8(0) !== 0 || body.readUInt32BE(1) !== size - prefix)
            reject(unavailable());
          else resolve({ message: body.subarray(prefix) });
        } else if (denials.has(String(code))) {
          // Said to the gatekeeper, not to its runner: a worker that hears it would give up for good.
          this.#explain(Object.assign(new Error('Temporal denies the call'), { code: Number(code) }));
          reject(unavailable());
        } else resolve({ failure: failureOf(last['grpc-status'] === undefined ? first : last) });
      });
      stream.end(frame(message));
    });
  }

  close(): void {
    for (const session of this.#sessions.keys()) session.destroy();
    this.#sessions.clear();
  }

  /** The session with the fewest calls; a new one when all are full, or none is open. */
  #session(): ClientHttp2Session {
    let best: ClientHttp2Session | null = null;
    let fewest = Infinity;
    for (const [session, calls] of this.#sessions)
      if (!session.closed && !session.destroyed && calls < fewest) [best, fewest] = [session, calls];
    return best && fewest < callsPerSession ? best : this.#open();
  }

  #open(): ClientHttp2Session {
    const { address, credentials } = this.place;
    const session = connect(`${credentials ? 'https' : 'http'}://${address}`, {
      maxSessionMemory: 64,
      settings: { initialWindowSize: 1024 * 1024, enablePush: false },
      ...(credentials ? { createConnection: () => connectTls(tlsOptions(this.place)) } : {}),
    });
    session.once('connect', () => session.setLocalWindowSize(16 * 1024 * 1024));
    // Its calls end with it and are answered there. A server that only wants no new calls leaves the old ones.
    session.on('error', (error) => this.#explain(error));
    session.once('close', () => this.#sessions.delete(session));
    session.setTimeout(0);
    this.#sessions.set(session, 0);
    return session;
  }

  /** Into the log, one reason at a time. */
  #explain(error: unknown): void {
    if (this.#explaining) return;
    this.#explaining = true;
    void explainFailure(this.place, error).then(({ code, message }) => {
      this.log.error({ code, reason: message }, 'no way to Temporal');
      setTimeout(() => (this.#explaining = false), quietMs).unref();
    });
  }

  #count(session: ClientHttp2Session, change: number): void {
    const calls = this.#sessions.get(session);
    if (calls !== undefined) this.#sessions.set(session, calls + change);
  }
}

/** gRPC: PERMISSION_DENIED and UNAUTHENTICATED. */
const denials = new Set(['7', '16']);

/** Between two lines of the log about the same trouble. */
const quietMs = 10_000;

/** Servers allow at least 100 streams a session; Temporal far more. */
const callsPerSession = 500;

const unavailable = (): Refused => new Refused(status.unavailable, 'Temporal does not answer');

/** gRPC's own trailers, nothing else that the server may have said. */
function failureOf(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const names = ['grpc-status', 'grpc-message', 'grpc-status-details-bin'];
  return Object.fromEntries(names.flatMap((name) => (headers[name] ? [[name, headers[name]]] : [])));
}

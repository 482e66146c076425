import {
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { isRoundtableError } from '#core/errors.js';
import type { RunnerId, Sha256Hex } from '#core/hex.js';
import { certificateExpiry, certificateFingerprint } from '#services/certificate.js';
import type { Metrics } from '#services/telemetry/metrics.js';
import type { Admissions } from './admission.js';
import { findCall, Malformed } from './calls.js';
import { endPoll, forward, tookTooLong } from './forward.js';
import { endWithMessage, endWithStatus, readRequest, Refused, status } from './frames.js';
import { limits, TokenBucket } from './limits.js';
import type { Presence } from './presence.js';
import type { Refusals } from './refusals.js';
import type { Sessions } from './sessions.js';
import type { TaskTokens } from './taskTokens.js';
import type { Upstream } from './upstream.js';

/** What every session needs of the gatekeeper. */
export interface House {
  namespace: string;
  tokens: TaskTokens;
  upstream: Upstream;
  admissions: Admissions;
  sessions: Sessions;
  presence: Presence;
  refusals: Refusals;
  metrics: Metrics;
}

interface Guest {
  runner: RunnerId;
  fingerprint: Sha256Hex;
  calls: TokenBucket;
}

/** One HTTP/2 session: somebody with a certificate, let in or not, and its calls. */
export class Visit {
  readonly #polls = new Set<AbortController>();
  /** Null: not let in. */
  readonly #guest: Promise<Guest | Refused>;
  /** Whoever is refused all the time loses the session. */
  readonly #patience = new TokenBucket(200, 5);
  readonly #timers: NodeJS.Timeout[] = [];
  #runner: RunnerId | null = null;
  #fingerprint: Sha256Hex | null = null;
  #endsAt: number | null = null;

  /** @param onAdmitted the connection is no stranger's any more */
  constructor(
    private readonly house: House,
    private readonly session: ServerHttp2Session,
    private readonly address: string,
    onAdmitted: () => void,
  ) {
    session.on('error', () => undefined);
    session.on('stream', (stream, headers) => void this.#serve(stream, headers));
    session.once('close', () => this.#closed());
    session.setTimeout(limits.idleSeconds * 1_000, () => session.destroy());
    this.#guest = this.#admit(onAdmitted).catch((error: unknown) =>
      error instanceof Refused ? error : new Refused(status.unavailable, 'the gatekeeper failed'),
    );
    void this.#guest.then((guest) => {
      // A moment for the first call, which is told why.
      if (guest instanceof Refused) this.#after(1_000, () => session.destroy());
    });
  }

  get runner(): RunnerId | null {
    return this.#runner;
  }

  get polls(): number {
    return this.#polls.size;
  }

  /** When its certificate ends, in seconds since 1970; null before it was let in. */
  get endsAt(): number | null {
    return this.#endsAt;
  }

  /** Why the session must end now; null while it may go on. */
  objection(): string | null {
    return this.#runner && this.#fingerprint
      ? this.house.admissions.objection(this.#runner, this.#fingerprint)
      : null;
  }

  /** At once, whatever is under way. */
  end(reason: string): void {
    this.house.refusals.add(reason, this.#runner ?? this.address);
    this.session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  /** Open polls end without a task, calls under way are finished; then the session is over. */
  drain(): void {
    if (this.session.closed || this.session.destroyed) return;
    this.#endPolls();
    this.session.close();
    this.#after(2_000, () => this.session.destroy());
  }

  async #admit(onAdmitted: () => void): Promise<Guest> {
    const { admissions, sessions } = this.house;
    const raw = (this.session.socket as TLSSocket).getPeerX509Certificate()?.raw;
    if (!raw) throw this.#refusal(new Refused(status.unauthenticated, 'no certificate'));
    const fingerprint = certificateFingerprint(raw);
    const admission = await admissions.find(fingerprint);
    if ('refused' in admission)
      throw this.#refusal(
        new Refused(admission.passing ? status.unavailable : status.unauthenticated, admission.refused),
        { fingerprint },
      );
    const { runner } = admission;
    const endsAt = Math.min(admission.expiresAt, certificateExpiry(raw));
    const seconds = endsAt - Date.now() / 1_000;
    if (seconds <= 0)
      throw this.#refusal(new Refused(status.unauthenticated, 'a certificate that has expired'), { runner });
    if (this.session.destroyed) throw new Refused(status.unavailable, 'a session that is over');
    this.#runner = runner;
    this.#fingerprint = fingerprint;
    this.#endsAt = endsAt;
    this.#after(seconds * 1_000, () => this.drain());
    this.#keepAlive();
    onAdmitted();
    return { runner, fingerprint, calls: sessions.enter(runner, this) };
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    stream.on('error', () => undefined);
    let sender: string = this.address;
    const began = performance.now();
    let name = 'other';
    const answered = (outcome: 'passed' | 'refused' | 'failed') =>
      this.house.metrics.record(
        'gatekeeper_call_seconds',
        { call: name, outcome },
        (performance.now() - began) / 1_000,
      );
    try {
      const guest = await this.#guest;
      if (guest instanceof Refused) {
        answered('refused');
        return endWithStatus(stream, guest.status, guest.reason);
      }
      const { runner } = guest;
      sender = runner;
      if (!guest.calls.take()) throw new Refused(status.resourceExhausted, 'too many calls a second');
      if (
        headers[':method'] !== 'POST' ||
        !/^application\/grpc(\+proto)?$/.test(headers['content-type'] ?? '')
      )
        throw new Refused(status.invalidArgument, 'not a gRPC call');
      const path = headers[':path'] ?? '';
      const call = findCall(path);
      ({ name } = call);
      const { namespace, tokens } = this.house;
      const caller = { runner, namespace, tokens };
      const message = call.check(await readRequest(stream, headers), caller);
      if (message === null) {
        answered('passed');
        return endWithMessage(stream, new Uint8Array(0));
      }
      this.house.presence.heard(runner);
      const answer = await forward(
        this.house.upstream,
        { stream, headers, path, call, message },
        this.#polls,
      );
      answered('passed');
      if ('failure' in answer) {
        if (!stream.destroyed)
          stream.respond(
            { ':status': 200, 'content-type': 'application/grpc', ...answer.failure },
            { endStream: true },
          );
      } else endWithMessage(stream, call.answer(answer.message, caller));
    } catch (error) {
      const known = error instanceof Malformed ? new Refused(status.invalidArgument, error.message) : error;
      answered(known instanceof Refused && !isNobodysFault(known) ? 'refused' : 'failed');
      this.#fail(stream, known, sender, headers[':path']);
    }
  }

  #fail(stream: ServerHttp2Stream, error: unknown, sender: string, path: string | undefined): void {
    if (!(error instanceof Refused)) {
      this.house.refusals.add('a failure of the gatekeeper', sender, {
        path,
        error: isRoundtableError(error) ? error.code : String(error),
      });
      return endWithStatus(stream, status.unavailable, 'the gatekeeper failed');
    }
    endWithStatus(stream, error.status, error.reason);
    if (isNobodysFault(error)) return;
    this.house.refusals.add(error.reason, sender, { path });
    if (!this.#patience.take()) this.end('too many refused calls');
  }

  #refusal(refused: Refused, fields: Record<string, string> = {}): Refused {
    this.house.refusals.add(refused.reason, this.address, fields);
    return refused;
  }

  #endPolls(): void {
    for (const poll of this.#polls) endPoll(poll);
  }

  /** A peer that lost its power sends no word of farewell. */
  #keepAlive(): void {
    let waiting = false;
    const timer = setInterval(() => {
      if (waiting) return this.session.destroy();
      waiting = true;
      if (!this.session.closed && !this.session.destroyed) this.session.ping(() => (waiting = false));
    }, limits.pingSeconds * 1_000);
    this.#timers.push(timer);
  }

  #closed(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    if (this.#runner) this.house.sessions.leave(this.#runner, this);
  }

  #after(milliseconds: number, work: () => void): void {
    if (!this.session.destroyed) this.#timers.push(setTimeout(work, milliseconds));
  }
}

/** Temporal is away or slow, or the caller has gone: nothing that was refused. */
const isNobodysFault = (refused: Refused): boolean =>
  refused.status === status.unavailable || refused === tookTooLong;

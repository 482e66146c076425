import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { constants } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { limits, Strangers } from './limits.js';
import { Visit, type House } from './visit.js';

/** The TLS server: who may knock, how many at once, and for how long. */
export class Door {
  readonly #server: Http2SecureServer;
  readonly #strangers = new Strangers<Socket>();
  readonly #sockets = new Map<string, Socket>();
  #draining = false;

  /** @param tls PEM of the gatekeeper's certificate and key */
  constructor(
    private readonly house: House,
    tls: { cert: string; key: string },
  ) {
    this.#server = createSecureServer({
      ...tls,
      ...tlsRules,
      allowHTTP1: false,
      handshakeTimeout: limits.handshakeSeconds * 1_000,
      unknownProtocolTimeout: 1,
      maxSessionMemory: 8,
      maxHeaderListPairs: 64,
      maxOutstandingPings: 4,
      maxSessionInvalidFrames: 50,
      maxSessionRejectedStreams: 50,
      settings: {
        enablePush: false,
        maxConcurrentStreams: limits.streamsPerSession,
        maxHeaderListSize: 8_192,
        initialWindowSize: 256 * 1024,
      },
    });
    this.#server
      .on('connection', (socket: Socket) => this.#connected(socket))
      .on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) =>
        this.house.refusals.add('a failed TLS handshake', socket.remoteAddress ?? 'a stranger', {
          error: error.code ?? error.message,
        }),
      )
      .on('unknownProtocol', (socket: TLSSocket) => socket.destroy())
      .on('sessionError', () => undefined)
      .on('session', (session) => {
        const raw = this.#sockets.get(nameOf(session.socket));
        const address = session.socket.remoteAddress ?? 'a stranger';
        const visit = new Visit(this.house, session, address, () => raw && this.#strangers.remove(raw));
        if (this.#draining) visit.drain();
      });
  }

  /** Connections that nobody stands for yet. */
  get strangers(): number {
    return this.#strangers.size;
  }

  async open(port: number, host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      // Enough for everybody who comes back at once.
      this.#server.listen({ port, host, backlog: 4_096 }, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  /** New connections use the new certificate; those that are open go on. */
  renew(tls: { cert: string; key: string }): void {
    this.#server.setSecureContext({ ...tls, ...tlsRules });
  }

  /** Nobody new comes in, open polls end, calls under way are finished. */
  async close(): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const visit of this.house.sessions) visit.drain();
    const timer = setTimeout(() => {
      for (const socket of this.#sockets.values()) socket.destroy();
    }, drainMs);
    await closed;
    clearTimeout(timer);
  }

  #connected(socket: Socket): void {
    const name = nameOf(socket);
    const address = socket.remoteAddress ?? '';
    this.#sockets.set(name, socket);
    if (this.#strangers.add(socket, address))
      this.house.refusals.add('too many connections that nobody stands for', address);
    // From the first byte to admission; sessions that were let in have no such end.
    const timer = setTimeout(() => {
      if (this.#strangers.has(socket)) socket.destroy();
    }, limits.handshakeSeconds * 1_000);
    socket.once('close', () => {
      clearTimeout(timer);
      this.#strangers.remove(socket);
      this.#sockets.delete(name);
    });
  }
}

/**
 * Both sides show a certificate, of which the fingerprint counts (admission.ts): there are no authorities, so a chain
 * is not checked. No session is resumed: every connection shows its certificate anew.
 */
const tlsRules = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  requestCert: true,
  rejectUnauthorized: false,
  ALPNProtocols: ['h2'],
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const;

const drainMs = 3_000;

const nameOf = (socket: { remoteAddress?: string | undefined; remotePort?: number | undefined }): string =>
  `${socket.remoteAddress}/${socket.remotePort}`;

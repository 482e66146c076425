import {
  connect,
  constants,
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { KeyPair } from '#services/certificateAuthority.js';

/** TLS in front of a Temporal server, as a cluster with TLS or Temporal Cloud has it: a certificate or a key is asked for. */
export interface TemporalDoor {
  /** host:port */
  address: string;
  /** Paths of the calls that were let in. */
  passed: string[];
  /** Calls without the right key, or without the header that names the namespace. */
  denied: number;
  close(): Promise<void>;
}

export async function openDoor(options: {
  /** host:port of the server, in the clear */
  temporal: string;
  server: KeyPair;
  /** PEM of the authority whose client certificates are taken. */
  clients?: string;
  apiKey?: string;
}): Promise<TemporalDoor> {
  const behind = connect(`http://${options.temporal}`);
  behind.on('error', () => undefined);
  const sessions = new Set<ServerHttp2Session>();
  const server: Http2SecureServer = createSecureServer({
    cert: options.server.certificate,
    key: options.server.key,
    ...(options.clients ? { ca: options.clients, requestCert: true, rejectUnauthorized: true } : {}),
  });
  const door: TemporalDoor = {
    address: '',
    passed: [],
    denied: 0,
    async close() {
      for (const session of sessions) session.destroy();
      behind.destroy();
      await new Promise((done) => server.close(done));
    },
  };
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined).once('close', () => sessions.delete(session));
  });
  server.on('tlsClientError', () => undefined);
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    if (options.apiKey !== undefined && !mayPass(headers, options.apiKey)) {
      door.denied++;
      stream.respond(
        {
          ':status': 200,
          'content-type': 'application/grpc',
          'grpc-status': '16',
          'grpc-message': 'Request unauthorized.',
        },
        { endStream: true },
      );
      return;
    }
    door.passed.push(String(headers[':path']));
    pass(stream, headers);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  door.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return door;

  function pass(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const { authorization: _, ':authority': __, ...others } = headers;
    const further = behind.request(others);
    let answer: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    further.on('error', () => stream.close(constants.NGHTTP2_CANCEL));
    stream.once('aborted', () => further.close(constants.NGHTTP2_CANCEL));
    further.on('response', (received, flags) => {
      answer = received;
      const onlyHeaders = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      if (stream.destroyed) return;
      stream.respond(answer, onlyHeaders ? { endStream: true } : { waitForTrailers: true });
    });
    further.on('trailers', (received) => (trailers = received));
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    further.on('data', (chunk: Buffer) => stream.write(chunk));
    further.on('end', () => stream.end());
    stream.pipe(further);
  }
}

/** GetSystemInfo names no namespace. */
const mayPass = (headers: IncomingHttpHeaders, apiKey: string): boolean =>
  headers['authorization'] === `Bearer ${apiKey}` &&
  (headers['temporal-namespace'] === 'default' || String(headers[':path']).endsWith('/GetSystemInfo'));

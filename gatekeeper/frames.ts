/** gRPC over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): calls of one message each. */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { limits } from './limits.js';

/** gRPC's status codes, as far as they are used here. */
export const status = {
  ok: 0,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** A call that is not passed on: what its caller is told, and what the log says. */
export class Refused extends Error {
  /** @param reason a short text for people, nothing from the request in it */
  constructor(
    readonly status: number,
    readonly reason: string,
  ) {
    super(reason);
  }
}

/**
 * The one message of a call, unpacked.
 * @throws Refused when it is too large (also announced or unpacked), too slow, or not one message
 */
export async function readRequest(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): Promise<Uint8Array> {
  const encoding = headers['grpc-encoding'] ?? 'identity';
  const body = await readBody(stream);
  const [compressed] = body;
  const message = body.subarray(prefix);
  if (compressed === 0) return message;
  if (compressed !== 1 || encoding !== 'gzip')
    throw new Refused(status.invalidArgument, 'a message packed in an unknown way');
  return unpack(message);
}

/** Ends a call without a message; `text` may be anything. */
export function endWithStatus(stream: ServerHttp2Stream, code: number, text: string): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': String(code),
      'grpc-message': encodeURIComponent(text).replaceAll('%20', ' '),
    },
    { endStream: true },
  );
  // What the caller still sends is of no interest.
  if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
}

export function endWithMessage(stream: ServerHttp2Stream, message: Uint8Array): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(frame(message));
}

export function frame(message: Uint8Array): Uint8Array {
  const framed = Buffer.allocUnsafe(prefix + message.length);
  framed.writeUInt8(0, 0);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, prefix);
  return framed;
}

/** Bytes before a message: whether it is packed, and its length. */
export const prefix = 5;

const inflate = promisify(gunzip);

async function unpack(message: Uint8Array): Promise<Uint8Array> {
  try {
    return await inflate(message, { maxOutputLength: limits.requestBytes });
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
      ? new Refused(status.resourceExhausted, 'a message that unpacks to more than is taken')
      : new Refused(status.invalidArgument, 'a message that does not unpack');
  }
}

function readBody(stream: ServerHttp2Stream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let expected = Infinity;
    const timer = setTimeout(() => end(tooSlow), limits.requestSeconds * 1_000);
    const end = (error: Refused) => {
      clearTimeout(timer);
      stream.removeAllListeners('data');
      reject(error);
    };
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (expected === Infinity && size >= prefix) {
        expected = prefix + Buffer.concat(chunks).readUInt32BE(1);
        if (expected > prefix + limits.requestBytes) return end(tooLarge);
      }
      if (size > expected || size > prefix + limits.requestBytes) end(tooLarge);
    });
    stream.once('end', () => {
      clearTimeout(timer);
      if (size === expected) resolve(Buffer.concat(chunks));
      else reject(new Refused(status.invalidArgument, 'a body that is not one message'));
    });
    stream.once('close', () => end(gone));
    stream.once('error', () => end(gone));
  });
}

const tooLarge = new Refused(status.resourceExhausted, 'a message larger than is taken');
const tooSlow = new Refused(status.deadlineExceeded, 'a request that took too long to come');
const gone = new Refused(status.unavailable, 'a call that its caller gave up');

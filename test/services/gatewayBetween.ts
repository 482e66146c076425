import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Answer {
  status: number;
  body: Buffer;
}

/** Gets a request's path and the way to the gateway behind; decides what the client sees. */
export type Interference = (path: string, forward: () => Promise<Answer>) => Promise<Answer | 'hang up'>;

export interface GatewayBetween {
  readonly url: string;
  interfere: Interference;
}

/** A gateway in front of another, which hands everything on unless it is told to lie, refuse or hang up. */
export async function startGatewayBetween(behind: string): Promise<GatewayBetween> {
  const server = createServer((request, response) => {
    const { method = '', url: path = '' } = request;
    const forward = async () => {
      const answer = await fetch(behind + path, {
        method,
        ...(method === 'POST' && { body: await bodyOf(request) }),
      });
      return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) };
    };
    between.interfere(path, forward).then(
      (answer) => {
        if (answer === 'hang up') request.socket.destroy();
        else response.writeHead(answer.status).end(answer.body);
      },
      () => request.socket.destroy(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  running.add(server);
  const between: GatewayBetween = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    interfere: (_path, forward) => forward(),
  };
  return between;
}

/** For afterEach. */
export async function endGatewaysBetween(): Promise<void> {
  for (const server of running) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
  running.clear();
}

/** What a search answers that finds nothing. */
export const EMPTY_PAGE = '{"data":{"transactions":{"pageInfo":{"hasNextPage":false},"edges":[]}}}';

/** Other bytes, too few, too many: in the data of a transaction, all else true. */
export const lies: Interference[] = [
  (path, forward) => change(path, forward, (body) => body.fill(body.readUInt8(0) ^ 1, 0, 1)),
  (path, forward) => change(path, forward, (body) => body.subarray(1)),
  (path, forward) => change(path, forward, (body) => Buffer.concat([body, Buffer.of(0)])),
];

const running = new Set<ReturnType<typeof createServer>>();

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

async function change(
  path: string,
  forward: () => Promise<Answer>,
  how: (body: Buffer) => Buffer,
): Promise<Answer> {
  const { status, body } = await forward();
  return { status, body: /^\/[\w-]{43}$/.test(path) && status === 200 ? how(body) : body };
}

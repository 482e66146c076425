import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Passing {
  method: string;
  path: string;
  status: number;
  body: Buffer;
}

/** What to do with an answer on its way back: change it, or 'hang up' without giving it. */
export type Interference = (passing: Passing) => Passing | 'hang up';

export interface GatewayBetween {
  readonly url: string;
  readonly requests: { method: string; path: string }[];
  interfere: Interference;
  close(): Promise<void>;
}

/** A gateway that hands everything to the one behind it, and may lie, refuse or fall silent on the way back. */
export async function startGatewayBetween(behind: string): Promise<GatewayBetween> {
  const server = createServer((request, response) => {
    void handle(request).then(
      (answer) => {
        if (answer === 'hang up') request.socket.destroy();
        else response.writeHead(answer.status).end(answer.body);
      },
      () => request.socket.destroy(),
    );
  });
  const between: GatewayBetween = {
    url: '',
    requests: [],
    interfere: (passing) => passing,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  async function handle(request: IncomingMessage): Promise<Passing | 'hang up'> {
    const { method = '', url: path = '' } = request;
    between.requests.push({ method, path });
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const answer = await fetch(behind + path, { method, ...(method === 'POST' && { body: Buffer.concat(parts) }) });
    return between.interfere({ method, path, status: answer.status, body: Buffer.from(await answer.arrayBuffer()) });
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(between, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

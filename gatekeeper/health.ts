import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How the gatekeeper is, as numbers; served on 127.0.0.1 only. */
export interface Health {
  status: 'ok' | 'draining';
  runners: number;
  sessions: number;
  polls: number;
  strangers: number;
  refused: number;
  memoryMegabytes: number;
}

/** GET /health. @returns its port */
export async function serveHealth(
  port: number,
  read: () => Health,
): Promise<{ port: number; close(): void }> {
  const server = createServer((request, response) => {
    const found = request.method === 'GET' && request.url === '/health';
    const health = read();
    response.statusCode = found ? (health.status === 'ok' ? 200 : 503) : 404;
    response.setHeader('content-type', 'application/json');
    response.end(found ? JSON.stringify(health) : '{}');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

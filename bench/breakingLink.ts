import { createServer, connect, type AddressInfo, type Socket } from 'node:net';

/** A TCP link to a port of this machine that is slow and breaks. */
export interface BreakingLink {
  port: number;
  /** How often it has broken while something went over it. */
  breaks(): number;
  close(): Promise<void>;
}

/**
 * @param everyMs all connections are cut so often
 * @param bytesPerSecond in each direction, of all connections together
 */
export async function breakingLink(options: {
  to: number;
  everyMs: number;
  bytesPerSecond: number;
}): Promise<BreakingLink> {
  const { to, everyMs, bytesPerSecond } = options;
  const open = new Set<Socket>();
  const [up, down] = [lane(bytesPerSecond), lane(bytesPerSecond)];
  let breaks = 0;
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1');
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        open.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    pour(near, far, up);
    pour(far, near, down);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = setInterval(() => {
    if (open.size > 0) breaks++;
    for (const socket of open) socket.destroy();
  }, everyMs);
  return {
    port: (server.address() as AddressInfo).port,
    breaks: () => breaks,
    async close() {
      clearInterval(cut);
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/** Milliseconds to wait for so many bytes to pass a line that others use too. */
function lane(bytesPerSecond: number): (bytes: number) => number {
  let free = 0;
  return (bytes) => {
    const now = performance.now();
    free = Math.max(free, now) + (1_000 * bytes) / bytesPerSecond;
    return free - now;
  };
}

function pour(from: Socket, into: Socket, line: (bytes: number) => number): void {
  from.on('data', (chunk) => {
    into.write(chunk);
    const wait = line(chunk.length);
    // A timer for every chunk would make the link slower than it is to be.
    if (wait < 5) return;
    from.pause();
    setTimeout(() => from.resume(), wait);
  });
  from.on('end', () => into.end());
}

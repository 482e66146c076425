/** Ways to see that a part can be used. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Part, ReadyContext } from './part.js';

type Ready = Part['ready'];

/** Something accepts connections on the port of 127.0.0.1. */
export function tcp(port: number): Ready {
  return ({ signal }) => until(() => canConnect(port), signal);
}

/** A GET is answered with a status below 400. */
export function http(url: string): Ready {
  return ({ signal }) =>
    until(async () => {
      const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]) });
      await response.body?.cancel();
      return response.ok;
    }, signal);
}

/** The process writes a line that matches. */
export function logLine(pattern: RegExp): Ready {
  return ({ signal, onLine }: ReadyContext) =>
    new Promise((resolve, reject) => {
      onLine((line) => {
        if (pattern.test(line)) resolve();
      });
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
}

async function until(check: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  for (let pause = 10; ; pause = Math.min(pause * 1.5, 200)) {
    signal.throwIfAborted();
    if (await check().catch(() => false)) return;
    await sleep(pause, undefined, { signal });
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

import { createServer, request, Agent, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

interface Call {
  id: number;
  method: string;
  params: unknown[];
}
type Reply = { result?: unknown; error?: { code: number; message: string } };

/** What a proxy does with one call; each may be combined with others. */
export interface Lie {
  /** The node gets it, the caller never hears of it. */
  drop?: boolean;
  /** The node gets it twice; the caller hears the second answer. */
  repeat?: boolean;
  /** The node never gets it; the caller is told this. */
  refuse?: { code: number; message: string };
  /** Milliseconds before the node gets it. */
  delay?: number;
  /** What the caller hears instead of the node's answer. */
  answer?: (reply: Reply) => Reply;
}

/** An RPC endpoint between a sender and a node, which does with each call what `lie` says; undefined: nothing. */
export interface LyingRpc {
  url: string;
  lie: (call: Call) => Lie | undefined;
  /** Calls that came, by method. */
  calls: Map<string, number>;
  stop(): Promise<void>;
}

export async function startLyingRpc(node: string): Promise<LyingRpc> {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const rpc: LyingRpc = {
    url: '',
    lie: () => undefined,
    calls: new Map(),
    stop: async () => {
      agent.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      const call = JSON.parse(await textOf(incoming)) as Call | Call[];
      const replies = [];
      for (const one of Array.isArray(call) ? call : [call]) {
        const reply = await answer(one);
        if (reply === null) return void incoming.socket.destroy();
        replies.push({ jsonrpc: '2.0', id: one.id, ...reply });
      }
      outgoing.writeHead(200, { 'content-type': 'application/json' });
      outgoing.end(JSON.stringify(Array.isArray(call) ? replies : replies[0]));
    })().catch(() => incoming.socket.destroy());
  });

  async function answer(call: Call): Promise<Reply | null> {
    rpc.calls.set(call.method, (rpc.calls.get(call.method) ?? 0) + 1);
    const lie = rpc.lie(call) ?? {};
    if (lie.delay !== undefined) await pause(lie.delay);
    if (lie.refuse) return { error: lie.refuse };
    let reply = await forward(call);
    if (lie.repeat) reply = await forward(call);
    if (lie.drop) return null;
    return lie.answer ? lie.answer(reply) : reply;
  }

  async function forward(call: Call): Promise<Reply> {
    const { result, error } = JSON.parse(
      await new Promise<string>((resolve, reject) => {
        const headers = { 'content-type': 'application/json' };
        const asked = request(node, { method: 'POST', agent, headers }, (reply) =>
          textOf(reply).then(resolve, reject),
        );
        asked.on('error', reject);
        asked.end(JSON.stringify({ jsonrpc: '2.0', ...call }));
      }),
    ) as Reply;
    return error ? { error } : { result: result ?? null };
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  rpc.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return rpc;
}

async function textOf(stream: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

/** A count of transactions that is off by so many. */
export function miscount(by: number): Lie {
  return {
    answer: (reply) =>
      typeof reply.result === 'string'
        ? { result: `0x${Math.max(0, Number(reply.result) + by).toString(16)}` }
        : reply,
  };
}

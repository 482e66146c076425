import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterEach, expect, test } from '@jest/globals';
import { openChain, type Chain } from '#services/chain.js';

/** Questions of one turn of the event loop travel together, at endpoints that take lists and at those that do not. */
type Question = { id: number; method: string; params: unknown[] };
type Refusal = (questions: readonly Question[]) => { status: number; body: unknown };

const addresses = Array.from(
  { length: 20 },
  (_, index) => `0x${String(index + 1).padStart(40, '0')}` as const,
);
/** Whether it is a member: those whose address is even. */
const word = (holds: boolean): string => `0x${String(Number(holds)).padStart(64, '0')}`;

let server: Server | undefined;
let chain: Chain | undefined;
afterEach(() => {
  chain?.close();
  server?.closeAllConnections();
  server?.close();
});

/** An endpoint of a chain with one contract, which keeps the sizes of what it was asked. */
async function endpoint(refuse?: Refusal): Promise<{ url: string; asked: number[] }> {
  const asked: number[] = [];
  server = createServer((request, response) => {
    void json(request).then((body) => {
      const questions = body as Question | Question[];
      if (Array.isArray(questions)) asked.push(questions.length);
      else if (questions.method === 'eth_call') asked.push(1);
      const refused = Array.isArray(questions) ? refuse?.(questions) : undefined;
      const answers = [questions].flat().map(answer);
      response.writeHead(refused?.status ?? 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(refused?.body ?? (Array.isArray(questions) ? answers : answers[0])));
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server?.once('listening', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

function answer({ id, method, params }: Question) {
  const even = Number((params[0] as { data?: string } | undefined)?.data?.slice(-1)) % 2 === 0;
  const results: Record<string, unknown> = {
    eth_chainId: '0x7a69',
    eth_getCode: '0x00',
    eth_call: word(even),
  };
  return { jsonrpc: '2.0', id, result: results[method] };
}

function open(url: string): Chain {
  const nowhere = `0x${'0'.repeat(39)}1` as const;
  const names = ['token', 'consortium', 'jobs', 'rewards'] as const;
  const contracts = Object.fromEntries(names.map((name) => [name, nowhere]));
  chain = openChain({ rpcUrls: [url], deployment: { chainId: 31_337, block: 0, ...contracts } as never });
  return chain;
}

const areMembers = (reader: Chain) => Promise.all(addresses.map((address) => reader.isMember(address)));
const expected = addresses.map((_, index) => (index + 1) % 2 === 0);

test('what is asked at once travels in one request, and each hears its own answer', async () => {
  const { url, asked } = await endpoint();
  expect(await areMembers(open(url))).toEqual(expected);
  expect(asked).toEqual([20]);
});

test.each<[string, Refusal]>([
  ['answers a list with a page', () => ({ status: 400, body: '<h1>Bad request</h1>' })],
  [
    'answers a list with one error',
    () => ({
      status: 200,
      body: { jsonrpc: '2.0', id: null, error: { code: -32_600, message: 'no lists' } },
    }),
  ],
  [
    'leaves some of a list unanswered',
    (questions) => ({ status: 200, body: questions.slice(5).map(answer) }),
  ],
])('an endpoint that %s is asked one by one from then on', async (_, refuse) => {
  const { url, asked } = await endpoint(refuse);
  const reader = open(url);
  expect(await areMembers(reader)).toEqual(expected);
  expect(asked).toEqual([20, ...Array.from({ length: 20 }, () => 1)]);
  expect(await areMembers(reader)).toEqual(expected);
  expect(asked).toHaveLength(1 + 40);
});

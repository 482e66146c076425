import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { S3Client } from '@aws-sdk/client-s3';
import { Wallet } from 'ethers';
import { openApi } from '#cli/api.js';
import { StackClient } from '#gpu-runner/stackClient.js';
import { outboundRules } from '#services/outboundUrl.js';
import { generateArchiveKey, openArchive } from '#services/archive.js';
import { archiveSigner } from '#services/archiveKey.js';
import { signTransaction, type TransactionHeader } from '#services/archiveTransaction.js';
import { openArtifacts } from '#services/artifacts.js';
import { openChain } from '#services/chain.js';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addressOf, hashOf } from '../services/views.js';
import { exampleDeployment } from './hostileNode.js';

/** Servers that we must talk to and that mean us harm: gateways, nodes, stores, and other members' stacks. */
type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

let server: Server;
let url: string;
let answer: Answer;
let asked: string[];
const folder = mkdtempSync(join(tmpdir(), 'roundtable-hostile-servers-'));
const keyFile = join(folder, 'key');

beforeAll(async () => {
  writeFileSync(keyFile, Wallet.createRandom().privateKey, { mode: 0o600 });
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    let body = '';
    request.setEncoding('utf8').on('data', (piece: string) => void (body += piece));
    request.on('end', () => answer(request, response, body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => void (asked = []));
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

/** Goes on for as long as somebody reads. */
const endless: Answer = (_, response) => {
  const piece = Buffer.alloc(1024 * 1024, '[');
  const more = () => {
    while (!response.destroyed && response.write(piece));
    response.once('drain', more);
  };
  response.on('error', () => undefined);
  more();
};
const metadata = 'http://169.254.169.254/latest/meta-data/iam/security-credentials/';
const redirecting: Answer = (_, response) => void response.writeHead(307, { location: metadata }).end();

const never = new AbortController().signal;
const archive = () => openArchive({ gateways: [url], patienceMs: 300 });
const person = () => openApi({ url, audience: addressOf('c'), keyFile });
const runner = () =>
  new StackClient({ api: url, coordinator: addressOf('c'), rules: outboundRules([url]), found: false }, {
    address: addressOf('r'),
    signText: () => `0x${'1b'.repeat(65)}`,
  } as never);
const store = () =>
  openArtifacts({
    bucket: 'b',
    client: new S3Client({
      endpoint: url,
      region: 'us-east-1',
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      responseChecksumValidation: 'WHEN_REQUIRED',
    }),
  });

/** What was left in memory beside it while `work` ran, in bytes. */
async function grownBy(work: Promise<unknown>): Promise<number> {
  const before = process.memoryUsage().rss;
  await work;
  return process.memoryUsage().rss - before;
}

describe('an Arweave gateway', () => {
  const id = 'A'.repeat(43);

  test('that answers without end is cut off', async () => {
    answer = endless;
    const grown = await grownBy(
      expect(archive().get(id)).rejects.toMatchObject({ code: 'ARCHIVE_UNREACHABLE' }),
    );
    expect(grown).toBeLessThan(400e6);
  });

  test('that redirects to the metadata service of the cloud is not followed', async () => {
    answer = redirecting;
    await expect(archive().get(id)).rejects.toMatchObject({ code: 'ARCHIVE_UNREACHABLE' });
    expect(asked.every((line) => line === `GET /tx/${id}`)).toBe(true);
  });

  test.each([
    ['nothing', ''],
    ['null', 'null'],
    ['a list', '[]'],
    ['a prototype', '{"__proto__":{"polluted":1}}'],
    ['a hundred thousand lists', '[['.repeat(50_000)],
    ['another form', '{"format":2,"id":1}'],
  ])('that answers %s is trouble, and no crash', async (_, text) => {
    answer = (_, response) => void response.end(text);
    await expect(archive().get(id)).rejects.toMatchObject({ code: 'ARCHIVE_UNREACHABLE' });
    await expect(archive().find({ a: 'b' })).rejects.toMatchObject({ code: 'ARCHIVE_UNREACHABLE' });
  });

  test('that has a transaction signed for a terabyte is not read at all', async () => {
    const header: TransactionHeader = await signTransaction(archiveSigner(await generateArchiveKey()), {
      dataRoot: Buffer.alloc(32, 1).toString('base64url'),
      size: 1e12,
      tags: {},
      anchor: Buffer.alloc(48).toString('base64url'),
      reward: '1',
    });
    answer = (_, response) => void response.end(JSON.stringify(header));
    await expect(archive().get(header.id)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    expect(asked).toEqual([`GET /tx/${header.id}`]);
  }, 120_000);

  test('cannot put control characters into what a person reads', async () => {
    answer = (_, response) => void response.writeHead(400).end('\u001b]0;owned\u0007\u202egood\r\nok');
    const key = await generateArchiveKey();
    const refused = openArchive({ gateways: [url], key, patienceMs: 300 }).put(Buffer.from('x'), {});
    const message = await refused.catch((error: Error) => error.message);
    // eslint-disable-next-line no-control-regex
    expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  }, 120_000);
});

const ask = async () => {
  const chain = openChain({ rpcUrls: [url], deployment: exampleDeployment(31_337) });
  try {
    return await chain.isMember(addressOf('r'));
  } finally {
    chain.close();
  }
};

describe("a chain's node", () => {
  test('that answers without end is cut off', async () => {
    answer = endless;
    const grown = await grownBy(expect(ask()).rejects.toMatchObject({ code: 'CHAIN_UNREACHABLE' }));
    expect(grown).toBeLessThan(700e6);
  }, 60_000);

  test('that redirects to the metadata service is not followed', async () => {
    answer = redirecting;
    await expect(ask()).rejects.toMatchObject({ code: 'CHAIN_UNREACHABLE' });
  });

  test('that reverts with bytes no contract of ours has', async () => {
    answer = (_, response, body) => {
      const { id, method } = JSON.parse(body) as { id: number; method: string };
      const honest: Record<string, string> = { eth_chainId: '0x7a69', eth_getCode: '0x01' };
      const result = honest[method];
      response.end(
        JSON.stringify(
          result === undefined
            ? { jsonrpc: '2.0', id, error: { code: 3, message: 'reverted\u001b[2J', data: '0x12' } }
            : { jsonrpc: '2.0', id, result },
        ),
      );
    };
    const refusal = await ask().catch((error: Error & { code?: string }) => error);
    expect(refusal).toMatchObject({ code: expect.stringMatching(/^CHAIN_/) });
    expect(String(refusal)).not.toContain('\u001b');
  });
});

describe('a stack that a runner or a person works with', () => {
  test('that sends a runner to the metadata service for a model, or to a database with its update', async () => {
    answer = redirecting;
    await expect(runner().locate(hashOf('model'), never)).rejects.toMatchObject({ code: 'URL_REFUSED' });
    for (const place of [metadata, 'http://10.0.0.5:5432/', 'https://192.168.1.1/', 'file:///etc/passwd']) {
      answer = (_, response) => void response.end(JSON.stringify({ url: place, headers: {} }));
      await expect(runner().upload(new Uint8Array(5), hashOf('u'), never)).rejects.toMatchObject({
        code: 'URL_REFUSED',
      });
    }
  });

  test('that sends a person’s command line there', async () => {
    answer = redirecting;
    await expect(person().getArtifact(hashOf('model'))).rejects.toMatchObject({ code: 'URL_REFUSED' });
    answer = (_, response) => void response.end(JSON.stringify({ url: metadata, headers: {} }));
    await expect(person().putArtifact(Buffer.from('x'))).rejects.toMatchObject({ code: 'URL_REFUSED' });
  });

  test('that injects a header with the upload URL it gives', async () => {
    const headers = { 'content-length': '1', 'x-a': 'b\r\nx-injected: 1' };
    answer = (_, response) => void response.end(JSON.stringify({ url: `${url}/put`, headers }));
    await expect(runner().upload(new Uint8Array(1), hashOf('u'), never)).rejects.toThrow();
    expect(asked).not.toContain('PUT /put');
  });

  test.each(['constructor', 'toString', '__proto__', 'hasOwnProperty', ''])(
    'that answers with the error code %j',
    async (code) => {
      answer = (_, response) =>
        void response.writeHead(400).end(JSON.stringify({ code, detail: 'x\u001b[2J', status: 400 }));
      for (const asking of [person().jobs(), runner().seen({ state: 'idle', progress: null }, never)]) {
        const refusal = await asking.catch((error: Error & { status?: number }) => error);
        expect(refusal).toMatchObject({ name: 'RoundtableError', status: expect.any(Number) });
        expect(String(refusal)).not.toContain('\u001b');
      }
    },
  );

  test('that answers without end is cut off', async () => {
    answer = endless;
    for (const asking of [() => person().jobs(), () => runner().enrol({} as never, never)])
      expect(
        await grownBy(expect(asking()).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })),
      ).toBeLessThan(500e6);
  });
});

describe('an artifact store', () => {
  test('that announces a terabyte gets no terabyte of memory', async () => {
    answer = (_, response) => void response.writeHead(200, { 'content-length': String(1e12) }).write('x');
    await expect(store().get(hashOf('a'))).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    await expect(store().get(hashOf('a'), 100)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  test('that gives other bytes than the hash names is not believed', async () => {
    answer = (_, response) => void response.end('other bytes');
    await expect(store().get(hashOf('a'))).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  });
});

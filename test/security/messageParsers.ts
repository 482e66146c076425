import { createHmac } from 'node:crypto';
import { RoundtableError } from '#core/errors.js';
import { hashJson } from '#core/canonicalJson.js';
import { epochManifest, genesisManifest, manifestHash, roundManifest } from '#core/manifest.js';
import {
  creditMessage,
  jobMessage,
  revealTask,
  submitRequest,
  trainAnswer,
  trainTask,
} from '#core/messages.js';
import { sealList, sealListHash } from '#core/seal.js';
import { enrolRequest } from '#core/entryMessages.js';
import { uploadRequest } from '#core/transferMessages.js';
import { parseMessage } from '#core/schema.js';
import { authorizationHeader, parseAuthorization } from '#core/signedRequest.js';
import { jobView, runnerView, triggerView, versionView } from '#core/views.js';
import { parseJson } from '#functions/body.js';
import { readDelivery } from '#functions/webhook/delivery.js';
import { parseChunk } from '#local/gateway/chunks.js';
import { Refusal } from '#local/gateway/refusal.js';
import { stackFile } from '#local/stackFile.js';
import { isSignedTransaction, signTransaction, transactionHeader } from '#services/archiveTransaction.js';
import { archiveSigner } from '#services/archiveKey.js';
import { generateArchiveKey } from '#services/archive.js';
import { sha256 } from '#services/sha256.js';
import {
  addressOf,
  exampleJob,
  exampleRunner,
  exampleSpec,
  exampleTrigger,
  exampleVersion,
  hashOf,
} from '../services/views.js';
import { type Parser } from './fuzzing.js';
import { KB, json, refused, text, utf8 } from './bytes.js';
import {
  exampleTask,
  exampleAnswer,
  exampleEnrolment,
  exampleGenesis,
  exampleRoundManifest,
  exampleSeal,
  exampleEpochManifest,
  exampleStackFile,
} from './examples.js';
import { hostileNode, nodesAtOnce, word } from './hostileNode.js';

/** Every message that comes over a network. */
export async function messageParsers(): Promise<Parser[]> {
  const signer = archiveSigner(await generateArchiveKey());
  const transaction = await signTransaction(signer, {
    dataRoot: Buffer.alloc(32, 1).toString('base64url'),
    size: 5,
    tags: { 'App-Name': 'Roundtable' },
    anchor: Buffer.alloc(48).toString('base64url'),
    reward: '1',
  });
  const secret = 'a secret';
  return [
    {
      name: 'the body of a request to the API',
      examples: () => [
        json({ key: 'a key of mine', spec: exampleSpec() }),
        json({ sha256: hashOf('x'), size: 5 }),
        json(exampleEnrolment()),
      ],
      parse: (bytes) => {
        const value = parseJson(bytes, 'The body');
        return parseMessage(
          typeof value === 'object' && value !== null && 'spec' in value
            ? submitRequest
            : typeof value === 'object' && value !== null && 'size' in value
              ? uploadRequest
              : enrolRequest,
          value,
          'The body',
        );
      },
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'an Authorization header',
      examples: () => [utf8(authorizationHeader(addressOf('member'), 1_790_000_000, `0x${'1b'.repeat(65)}`))],
      parse: (bytes) => parseAuthorization(text(bytes)),
      codes: ['NOT_SIGNED'],
      cap: 16 * KB,
    },
    {
      name: 'a webhook with the right signature',
      examples: () => [
        json({ ref: 'refs/heads/main', after: 'f00d' }),
        utf8('payload=%7B%22ref%22%3A%22a%22%7D'),
      ],
      parse: (body) => {
        const form = body[0] === 0x70;
        const headers = new Headers({
          'x-github-event': 'push',
          'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
          ...(form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
        });
        const trigger = { name: 't', kind: 'github', events: ['push'], refs: [] } as const;
        return readDelivery(
          { ...trigger, events: ['push'], refs: [] },
          [secret],
          headers,
          body,
          1_790_000_000,
        );
      },
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'the headers of a webhook',
      examples: () => [
        json({
          'webhook-id': 'msg_1',
          'webhook-timestamp': '1790000000',
          'webhook-signature': `v1,${createHmac('sha256', Buffer.from('AAAA', 'base64')).update('msg_1.1790000000.{}').digest('base64')}`,
        }),
      ],
      parse: (bytes) => {
        const headers = new Headers();
        for (const [, name = '', value = ''] of text(bytes).matchAll(/"([a-z-]+)":"([^"]*)"/g))
          if (name !== '' && isHeader(value)) headers.set(name, value);
        const trigger = { name: 't', kind: 'standard' as const, events: [], refs: [] };
        return readDelivery(trigger, ['whsec_AAAA'], headers, utf8('{}'), 1_790_000_000);
      },
      codes: ['NOT_SIGNED', 'BAD_SIGNATURE', 'TOO_OLD'],
      cap: 16 * KB,
    },
    {
      name: 'a message of a queue',
      examples: () => [
        json({ type: 'job', job: hashOf('job') }),
        json({
          type: 'credit',
          payer: addressOf('p'),
          job: hashOf('job'),
          round: 1,
          runner: addressOf('r'),
          units: '1',
          amount: '2',
          manifestHash: hashOf('m'),
        }),
      ],
      parse: (bytes) => {
        const value = parseJson(bytes, 'The message');
        const isJob = typeof value === 'object' && value !== null && 'type' in value && value.type === 'job';
        return parseMessage(isJob ? jobMessage : creditMessage, value, 'The message');
      },
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'a task for a runner',
      examples: () => [
        json(exampleTask()),
        json({ ...exampleTask(), seals: { list: hashOf('list'), signature: `0x${'1b'.repeat(65)}` } }),
        json([exampleSeal()]),
      ],
      parse: (bytes) => {
        const value = parseJson(bytes, 'The task');
        if (Array.isArray(value)) return sealListHash(sha256, parseMessage(sealList, value, 'The seals'));
        const reveals = typeof value === 'object' && value !== null && 'seals' in value;
        const task = parseMessage(reveals ? revealTask : trainTask, value, 'The task');
        return hashJson(sha256, task.spec);
      },
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: "a runner's answer",
      examples: () => [
        json({ kind: 'refused', runner: addressOf('r'), code: 'POLICY_REFUSED', reason: 'not allowed' }),
        json(exampleAnswer()),
        json({ kind: 'sealed', ...exampleSeal() }),
      ],
      parse: (bytes) => parseMessage(trainAnswer, parseJson(bytes, 'The answer'), 'The answer'),
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: "a stack's answer to the command line",
      examples: () => [
        json(exampleJob()),
        json(exampleRunner()),
        json(exampleTrigger()),
        json(exampleVersion(1)),
      ],
      parse: (bytes) => {
        const value = parseJson(bytes, 'The answer');
        const has = (key: string) => typeof value === 'object' && value !== null && Object.hasOwn(value, key);
        const schema = has('lineage')
          ? versionView
          : has('machine')
            ? runnerView
            : has('events')
              ? triggerView
              : jobView;
        return parseMessage(schema, value, 'The answer');
      },
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'a manifest',
      examples: () => [json(exampleGenesis()), json(exampleRoundManifest()), json(exampleEpochManifest())],
      parse: (bytes) => {
        const value = parseJson(bytes, 'The manifest');
        const kind = /"kind":"(\w+)"/.exec(text(bytes.subarray(0, 100)))?.[1];
        const schema =
          kind === 'genesis' ? genesisManifest : kind === 'epoch' ? epochManifest : roundManifest;
        return manifestHash(sha256, parseMessage(schema, value, 'The manifest'));
      },
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'an Arweave transaction',
      examples: () => [json(transaction)],
      parse: async (bytes) => {
        const header = parseMessage(transactionHeader, parseJson(bytes, 'The answer'), 'The answer');
        return isSignedTransaction(header);
      },
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'an Arweave chunk',
      examples: () => [
        json({
          data_root: Buffer.alloc(32, 1).toString('base64url'),
          data_size: '5',
          data_path: Buffer.alloc(64, 2).toString('base64url'),
          offset: '4',
          chunk: Buffer.from('hello').toString('base64url'),
        }),
      ],
      parse: (bytes) => {
        try {
          return parseChunk(parseJson(bytes, 'The chunk'));
        } catch (error) {
          throw error instanceof Refusal ? new RoundtableError('INVALID_INPUT', error.message) : error;
        }
      },
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: "an answer of a chain's node",
      examples: () => [
        json({
          jsonrpc: '2.0',
          id: 0,
          result: `0x${[addressOf('m').slice(2).padStart(64, '0'), word(5), word(6), word(0)].join('')}`,
        }),
        json({ jsonrpc: '2.0', id: 0, error: { code: 3, message: 'execution reverted', data: '0x' } }),
        json({ jsonrpc: '2.0', id: 0, result: [] }),
      ],
      parse: hostileNode(),
      codes: [
        'CHAIN_REFUSED',
        'CHAIN_REVERTED',
        'CHAIN_UNREACHABLE',
        'CHAIN_WRONG_NETWORK',
        'CHAIN_INSUFFICIENT_FUNDS',
      ],
      cap: 64 * KB,
      atOnce: nodesAtOnce,
    },
    {
      name: 'stack.json',
      examples: () => [json(exampleStackFile())],
      parse: (bytes) => parseMessage(stackFile, parseJson(bytes, 'stack.json'), 'stack.json'),
      codes: refused,
      cap: 64 * KB,
    },
  ];
}

function isHeader(value: string): boolean {
  return /^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value);
}

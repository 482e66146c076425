import { createHmac } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { readCsv } from '#cli/data/csv.js';
import type { Deployment } from '#contracts/deployment.js';
import type { ErrorCode } from '#core/errorCodes.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { hashJson } from '#core/canonicalJson.js';
import { jobFile } from '#core/jobSpec.js';
import { createLayout } from '#core/layout.js';
import { epochManifest, genesisManifest, manifestHash, roundManifest } from '#core/manifest.js';
import {
  creditMessage,
  enrolRequest,
  jobMessage,
  submitRequest,
  trainAnswer,
  trainTask,
  uploadRequest,
} from '#core/messages.js';
import { decodeSafetensors, encodeSafetensors } from '#core/safetensors.js';
import { parseMessage } from '#core/schema.js';
import { authorizationHeader, parseAuthorization } from '#core/signedRequest.js';
import { decodeUpdateFile, encodeUpdateFile } from '#core/updateFile.js';
import { decodeVersion, encodeVersion } from '#core/versionFile.js';
import { jobView, runnerView, triggerView, versionView } from '#core/views.js';
import { parseJson } from '#functions/body.js';
import { readDelivery } from '#functions/webhook/delivery.js';
import { policySchema } from '#gpu-runner/policy.js';
import { decodeDataset, encodeDataset } from '#local/consortium/dataset.js';
import { parseChunk } from '#local/gateway/chunks.js';
import { Refusal } from '#local/gateway/refusal.js';
import { stackFile } from '#local/stackFile.js';
import { isSignedTransaction, signTransaction, transactionHeader } from '#services/archiveTransaction.js';
import { archiveSigner } from '#services/archiveKey.js';
import { generateArchiveKey } from '#services/archive.js';
import { openChain } from '#services/chain.js';
import { seal, sealedFor, unseal } from '#services/sealing.js';
import { sha256 } from '#services/sha256.js';
import { generateX25519Key } from '#services/x25519.js';
import { parseYaml } from '#services/yamlFile.js';
import { readIdx } from '#trainer/data/idx.js';
import { readNpz } from '#trainer/data/npz.js';
import { readGraph } from '#trainer/graph.js';
import { readModel } from '#trainer/model.js';
import { readNumbersFile } from '#trainer/check/tensors.js';
import {
  addressOf,
  exampleJob,
  exampleModel,
  exampleRunner,
  exampleSpec,
  exampleTrigger,
  exampleVersion,
  hashOf,
} from '../services/views.js';
import { linear } from '../trainer/models.js';
import type { Parser } from './fuzzing.js';

const KB = 1_024;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value));
const text = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes);
const refused: readonly ErrorCode[] = ['INVALID_INPUT', 'FORMAT_INVALID'];
const model: readonly ErrorCode[] = [
  'MODEL_NOT_ONNX',
  'MODEL_EXTERNAL_DATA',
  'MODEL_UNKNOWN_OPERATOR',
  'MODEL_NO_WEIGHTS',
  'MODEL_SHAPE_MISMATCH',
  'MODEL_UNSUPPORTED',
];

const numbers = (count: number): Uint8Array => new Uint8Array(4 * count);

/** Every file that comes from somebody else. */
export async function fileParsers(): Promise<Parser[]> {
  const key = generateX25519Key();
  const layout = createLayout([
    { name: 'a', dims: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
    { name: 'b', dims: [2], data: Float32Array.of(1, 2) },
  ]);
  return [
    {
      name: 'safetensors',
      examples: () => [
        encodeSafetensors(
          [
            { name: 'x', dtype: 'F32', shape: [2, 3], data: numbers(6) },
            { name: 'y', dtype: 'U8', shape: [5], data: new Uint8Array(5) },
          ],
          { classes: '10' },
        ),
        encodeSafetensors([]),
      ],
      parse: decodeSafetensors,
      codes: refused,
      cap: 64 * KB,
      header: 0,
    },
    {
      name: 'a model version',
      examples: () => [encodeVersion(layout, Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8), { lineage: 'digits' })],
      parse: decodeVersion,
      codes: refused,
      cap: 64 * KB,
      header: 0,
    },
    {
      name: 'an update',
      examples: () => [
        encodeUpdateFile({
          job: hashOf('job'),
          round: 3,
          runner: addressOf('runner'),
          ring: 'i32',
          sections: { delta: Int32Array.of(1, -2, 3) },
        }),
      ],
      parse: decodeUpdateFile,
      codes: refused,
      cap: 64 * KB,
      header: 8,
    },
    {
      name: 'a data set',
      examples: () => [
        encodeDataset({ shape: [2], classes: 3, x: Float32Array.of(1, 2, 3, 4), y: Uint8Array.of(0, 2) }),
      ],
      parse: (bytes) => {
        decodeDataset(bytes, 'the data set');
        readNumbersFile(bytes);
      },
      codes: refused,
      cap: 64 * KB,
      header: 0,
    },
    {
      name: 'a sealed envelope',
      examples: () => [seal(utf8('a model'), [{ id: 'north', publicKey: key.publicKey }], 'context')],
      // Opening one takes a millisecond of elliptic curves, so only each eighth is.
      parse: (bytes) =>
        sealedFor(bytes).length > 0 &&
        (bytes.at(-1) ?? 0) % 8 === 0 &&
        unseal(bytes, { id: 'north', privateKey: key.privateKey }, 'context'),
      codes: ['SEAL_BROKEN', 'SEAL_NOT_FOR_YOU'],
      cap: 64 * KB,
    },
    {
      name: 'an ONNX model',
      examples: () => [linear()],
      parse: (bytes) => readModel(bytes),
      codes: model,
      cap: 64 * KB,
    },
    {
      name: 'an ONNX graph',
      examples: () => [readModel(linear()).graph],
      parse: (bytes) => readGraph(bytes),
      codes: model,
      cap: 64 * KB,
    },
    {
      name: 'a CSV table',
      examples: () => [
        utf8('"a",b,label\n1,2.5,x\n"3",4e-2,"y ""z"""\n'),
        utf8('\ufeffa,label\r\n1,0\r\n2,1\r\n'),
      ],
      parse: (bytes) => readCsv(new TextDecoder().decode(bytes), 'label', 'the table'),
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'an IDX file, gzipped or not',
      examples: () => {
        const plain = Uint8Array.of(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6);
        return [plain, new Uint8Array(gzipSync(plain))];
      },
      parse: (bytes) => readIdx(bytes, 'the images'),
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'an NPZ file',
      examples: () => [zipOf('x.npy', npyOf('<f4', '(2, 3)', numbers(6)))],
      parse: (bytes) => readNpz(bytes, 'the arrays'),
      codes: refused,
      cap: 64 * KB,
    },
    {
      name: 'job.yaml or policy.yaml',
      examples: () => [
        utf8('version: 1\nname: a\nmodel: b\nrounds: 3\ndata: {contract: d, input: [4], classes: 3}\n'),
        utf8('throttle: 2\nallow: []\n'),
      ],
      parse: (bytes) => {
        const value = parseYaml(text(bytes), 'the file');
        const isPolicy = typeof value === 'object' && value !== null && 'allow' in value;
        return parseMessage(isPolicy ? policySchema : jobFile, value, 'the file');
      },
      codes: refused,
      cap: 2 * KB,
    },
  ];
}

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
        json({ name: 'ward-1', software: 's', machine: 'm', data: [] }),
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
      examples: () => [json(exampleTask())],
      parse: (bytes) => {
        const task = parseMessage(trainTask, parseJson(bytes, 'The task'), 'The task');
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

const word = (value: number): string => value.toString(16).padStart(64, '0');

/** Contracts at one address: whoever answers for them is what matters. */
export function exampleDeployment(chainId: number): Deployment {
  const contract = addressOf('contract');
  return {
    chainId,
    token: contract,
    consortium: contract,
    jobs: contract,
    rewards: contract,
    judges: { sums: contract, leaves: contract, data: contract, rewards: contract },
    block: 0,
  };
}

/** Reads a runner or the members from a node that answers these bytes; only what is asked before it is honest. */
function hostileNode(): (bytes: Uint8Array) => Promise<unknown> {
  const rpcUrls = ['http://127.0.0.1:1'];
  const chain = openChain({ rpcUrls, deployment: exampleDeployment(31_337) });
  const honest: Record<string, string> = {
    eth_chainId: '0x7a69',
    eth_getCode: '0x01',
    eth_blockNumber: '0x10',
  };
  return async (bytes) => {
    const usual = globalThis.fetch;
    globalThis.fetch = (_, init) => {
      const asked = JSON.parse(String(init?.body)) as
        { id: number; method: string } | { id: number; method: string }[];
      const { id, method } = Array.isArray(asked) ? (asked[0] ?? { id: 0, method: '' }) : asked;
      const result = honest[method];
      const answer =
        result === undefined
          ? text(bytes).replace('"id":0', `"id":${id}`)
          : JSON.stringify({ jsonrpc: '2.0', id, result });
      return Promise.resolve(new Response(Buffer.from(answer, 'latin1')));
    };
    try {
      // The revert among the examples is what a refused call looks like.
      return await (bytes.includes(0x5b) ? chain.members() : chain.runner(addressOf('r'))).catch(
        (error: unknown) => {
          if (!isRoundtableError(error, 'CHAIN_REVERTED')) throw error;
        },
      );
    } finally {
      globalThis.fetch = usual;
    }
  };
}

function isHeader(value: string): boolean {
  return /^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value);
}

const versionHashes = {
  versionId: hashOf('v'),
  graph: hashOf('g'),
  paramsRoot: hashOf('p'),
  stepsHash: hashOf('s'),
  stateRoot: hashOf('state'),
};
const domain = { chainId: 31_337, jobs: addressOf('jobs') };
const training = { onnxruntime: '1.30.0', provider: 'cpu', cpu: 'avx2', threads: 1 };
const opening = {
  job: hashOf('job'),
  round: 1,
  baseVersion: hashOf('v'),
  specHash: hashOf('spec'),
  openHash: hashOf('open'),
  shift: 0,
  selection: [{ runner: addressOf('r'), maxSamples: 10 }],
};
const archived = { sha256: hashOf('file'), archive: 'a'.repeat(43) };

function exampleTask() {
  const { versionId: _, ...rest } = exampleModel('1');
  return {
    protocol: 1,
    coordinator: addressOf('c'),
    runner: addressOf('r'),
    domain,
    opening,
    model: { ...rest, versionId: hashOf('v') },
    spec: exampleSpec(),
  };
}

function exampleAnswer() {
  return {
    kind: 'update',
    runner: addressOf('r'),
    file: hashOf('f'),
    bytes: 100,
    updateRoot: hashOf('u'),
    dimension: 8,
    samples: 10,
    steps: 5,
    saturated: 0,
    signature: `0x${'1b'.repeat(65)}`,
    training,
    loss: 0.5,
    seconds: 1.5,
  };
}

function exampleGenesis() {
  return {
    hashed: {
      kind: 'genesis',
      protocol: 1,
      coordinator: addressOf('c'),
      domain,
      job: hashOf('job'),
      spec: exampleSpec(),
      specHash: hashOf('spec'),
      parent: null,
      version: versionHashes,
      graph: archived,
      model: archived,
    },
    measured: { accuracy: 0.5, loss: 1 },
  };
}

function exampleRoundManifest() {
  return {
    hashed: {
      kind: 'round',
      protocol: 1,
      coordinator: addressOf('c'),
      domain,
      spec: exampleSpec(),
      opening,
      base: versionHashes,
      version: versionHashes,
      sumRoots: [[hashOf('sum')]],
      rootHeader: hashOf('root'),
      headers: [
        {
          index: 0,
          runner: addressOf('r'),
          updateRoot: hashOf('u'),
          dimension: 8,
          samples: 10,
          steps: 5,
          weight: 10,
          signature: `0x${'1b'.repeat(65)}`,
          training,
        },
      ],
      missing: [{ runner: addressOf('m'), code: 'offline', reason: 'not seen' }],
      rewards: { budget: '10', shares: [{ runner: addressOf('r'), units: '1', amount: '10' }] },
      model: archived,
      state: null,
      previousManifest: hashOf('before'),
    },
    measured: { accuracy: 0.5, loss: 1, seconds: {}, runners: [] },
  };
}

function exampleEpochManifest() {
  return {
    hashed: {
      kind: 'epoch',
      protocol: 1,
      payer: addressOf('c'),
      domain,
      epoch: 1,
      previousManifest: hashOf('before'),
      root: hashOf('root'),
      total: '10',
      rounds: [
        { job: hashOf('job'), round: 1, manifestHash: hashOf('m'), manifest: 'a'.repeat(43), shares: [] },
      ],
      accounts: [{ account: addressOf('r'), cumulative: '10', previous: '0', deltaRoot: hashOf('d') }],
    },
    measured: {},
  };
}

function exampleStackFile() {
  return {
    api: 'http://127.0.0.1:1',
    gateway: 'http://127.0.0.1:2',
    chain: { rpcUrl: 'http://127.0.0.1:3', deployment: { chainId: 31_337 } },
    temporal: { address: '127.0.0.1:4', ui: null },
    coordinator: addressOf('c'),
    keys: { coordinator: 'keys/coordinator' },
    members: [{ name: 'north', address: addressOf('c'), key: 'keys/north' }],
    runners: [{ name: 'north-1', runner: addressOf('r'), member: addressOf('c'), home: 'runners/north-1' }],
  };
}

/** A NumPy array file. */
function npyOf(type: string, shape: string, data: Uint8Array): Uint8Array {
  const header = `{'descr': '${type}', 'fortran_order': False, 'shape': ${shape}, }`.padEnd(117) + '\n';
  return Buffer.concat([
    Uint8Array.of(0x93),
    utf8('NUMPY'),
    Uint8Array.of(1, 0, header.length, 0),
    utf8(header),
    data,
  ]);
}

/** A ZIP of one stored file. */
function zipOf(name: string, content: Uint8Array): Uint8Array {
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50);
  local.writeUInt32LE(content.length, 18);
  local.writeUInt32LE(content.length, 22);
  local.writeUInt16LE(name.length, 26);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50);
  entry.writeUInt32LE(content.length, 20);
  entry.writeUInt32LE(content.length, 24);
  entry.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(30 + name.length + content.length, 16);
  return Buffer.concat([local, utf8(name), content, entry, utf8(name), end]);
}

import { addressOf, exampleModel, exampleSpec, hashOf } from '../services/views.js';

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

export function exampleTask() {
  const { versionId: _, ...rest } = exampleModel('1');
  return {
    protocol: 1,
    coordinator: addressOf('c'),
    runner: addressOf('r'),
    domain,
    opening,
    place: { index: 0, count: 2, proof: [hashOf('beside')] },
    model: { ...rest, versionId: hashOf('v') },
    spec: exampleSpec(),
  };
}

export function exampleEnrolment() {
  return {
    name: 'ward-1',
    software: 's',
    machine: 'm',
    data: [{ name: 'digits', samples: 10, input: [2], classes: 2 }],
    entry: {
      statement: {
        stack: addressOf('c'),
        runner: addressOf('r'),
        tlsFingerprint: hashOf('certificate'),
        sealingKey: hashOf('key'),
        expiry: 1_800_000_000,
        nonce: 1,
      },
      certificate: '-----BEGIN CERTIFICATE-----\nMIIBODCB3qADAgEC\n-----END CERTIFICATE-----\n',
      signature: `0x${'1b'.repeat(65)}`,
    },
  };
}

export function exampleAnswer() {
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

export function exampleSeal() {
  return { runner: addressOf('r'), seal: hashOf('seal'), signature: `0x${'1b'.repeat(65)}` };
}

export function exampleGenesis() {
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

export function exampleRoundManifest() {
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

export function exampleEpochManifest() {
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

export function exampleStackFile() {
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

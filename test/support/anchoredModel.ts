import { AbiCoder, id, keccak256 } from 'ethers';
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { hashJson } from '#core/canonicalJson.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import { layoutOf, stepsHash } from '#core/layout.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { versionId } from '#core/model.js';
import { encodeVersion } from '#core/versionFile.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { exampleSpec, hashOf } from '../services/views.js';
import type { Site } from './site.js';
import { randomInt32 } from '../../bench/measure.js';

/**
 * Gives a site a node and a gateway that know one version of so many parameters, the start of a job: everything that
 * verification reads, consistent, with nothing of it on a real chain.
 * @returns the version's id
 */
export function anchoredModel(site: Site, parameters: number): Hex {
  const layout = layoutOf([{ name: 'weight', shape: [parameters], exponent: -26 }]);
  const values = randomInt32(parameters, 1);
  const file = encodeVersion(layout, values) as Uint8Array<ArrayBuffer>;
  const spec = exampleSpec();
  const job = hashOf('anchored job');
  const coordinator: Hex = `0x${'c0'.repeat(20)}`;
  const version = {
    graphHash: hashOf('graph'),
    paramsRoot: toHex(valuesRoot(sha256, LEAF.params, values)),
    stepsHash: stepsHash(sha256, layout),
    stateRoot: ZERO_HASH,
  };
  const { graphHash: graph, ...rest } = version;
  const genesisVersion = versionId(sha256, version);
  const hashed = {
    kind: 'genesis',
    protocol: 1,
    coordinator,
    domain: { chainId: 31_337, jobs: `0x${'00'.repeat(20)}` },
    job,
    spec,
    specHash: hashJson(sha256, spec),
    parent: null,
    version: { versionId: genesisVersion, graph, ...rest },
    graph: { sha256: graph, archive: 'g'.repeat(43) },
    model: { sha256: sha256Hex(file), archive: 'm'.repeat(43) },
  };
  const manifest = JSON.stringify({ hashed, measured: { accuracy: null, loss: null } });
  // 43 letters A are 32 zero bytes in base64url.
  const data = AbiCoder.defaultAbiCoder().encode(
    [creationType],
    [
      [
        job,
        coordinator,
        hashed.specHash,
        ZERO_HASH,
        genesisVersion,
        hashJson(sha256, hashed),
        ZERO_HASH,
        8,
        0,
        [parameters, 0, 1, 1, 0, 1, 0, 0],
      ],
    ],
  );
  const created = {
    topics: [
      id(`JobCreated(bytes32,address,bytes32,${creationType})`),
      job,
      word(coordinator),
      genesisVersion,
    ],
    data,
    blockNumber: '0x1',
    transactionHash: hashOf('created'),
  };
  const stored = `0x${'00'.repeat(4)}${keccak256(data).slice(-56)}`;
  site.routes.post('/rpc', async (context) => {
    const {
      id: number,
      method,
      params,
    } = (await context.req.json()) as {
      id: number;
      method: string;
      params: [{ topics?: (string | null)[] }];
    };
    const results: Record<string, unknown> = {
      eth_chainId: '0x7a69',
      eth_getLogs: params[0]?.topics?.[0] === created.topics[0] ? [created] : [],
      eth_call: stored,
    };
    return context.json({ jsonrpc: '2.0', id: number, result: results[method] ?? null });
  });
  site.routes.get(`/gateway/${'A'.repeat(43)}`, (context) => context.body(manifest));
  site.routes.get(`/gateway/${'m'.repeat(43)}`, (context) => context.body(file));
  return genesisVersion;
}

const creationType = typeOf();

/** The struct of JobCreated as the compiler has it. */
function typeOf(): string {
  const [line = ''] = (jobsAbi as unknown as readonly { type: string; name?: string; inputs?: Input[] }[])
    .filter(({ type, name }) => type === 'event' && name === 'JobCreated')
    .map(({ inputs = [] }) => signatureOf(inputs.at(-1)));
  return line;
}

interface Input {
  type: string;
  components?: Input[];
}

function signatureOf(input: Input | undefined): string {
  return input?.components ? `(${input.components.map(signatureOf).join(',')})` : (input?.type ?? '');
}

const word = (address: Hex): Hex => `0x${address.slice(2).padStart(64, '0')}`;

import { randomBytes } from 'node:crypto';
import { Wallet } from 'ethers';
import { consortiumAbi } from '#contracts/generated/Consortium.js';
import { tokenAbi } from '#contracts/generated/Token.js';
import type { Deployment } from '#contracts/deployment.js';
import { typedContract, type ChainCall } from '#contracts/typed.js';
import {
  actDomain,
  actTypes,
  enrolmentTypes,
  entryDomain,
  type ActStatement,
  type SignatureDomain,
} from '#core/eip712.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import type { DataContract } from '#core/messages.js';
import type { EnrolRequest, StackEntrance, StackEntry } from '#core/entryMessages.js';
import type { JobSpec } from '#core/jobSpec.js';
import { authorizationHeader, requestText } from '#core/signedRequest.js';
import { apiApp, type ApiParts } from '#functions/api/app.js';
import { openApiParts } from '#functions/api/parts.js';
import { openLog } from '#services/log.js';
import { noTelemetry } from '#services/telemetry/telemetry.js';
import { chainPart } from '#local/emulators/chain.js';
import {
  giveEther,
  localContracts,
  localProvider,
  localTerms,
  sendCall,
} from '#local/consortium/contracts.js';
import { ensureBucket } from '#services/artifacts.js';
import { generateTlsKey, issueCertificate, keyFingerprint } from '#services/certificate.js';
import { signEntrance } from '#services/entrance.js';
import { sha256Hex } from '#services/sha256.js';
import { generateX25519Key } from '#services/x25519.js';
import { ensureTable } from '#services/table.js';
import { startPart, startStores } from '../services/realParts.js';
import { exampleSpec } from '../services/views.js';

/** Members of the consortium, a member's runner, and somebody else. */
export const coordinator = Wallet.createRandom();
export const member = Wallet.createRandom();
export const runner = Wallet.createRandom();
export const secondRunner = Wallet.createRandom();
/** One that has published its TLS key, and one that has published nothing. */
export const strictRunner = Wallet.createRandom();
export const strictRunnerTlsKey = generateTlsKey();
export const silentRunner = Wallet.createRandom();
export const stranger = Wallet.createRandom();
/** As the coordinator published it on chain. */
export const stackUrl = 'http://stack.example';
export const stack = coordinator.address.toLowerCase() as Hex;

/** Whatever an answer may hold; which of it must be there is for each test to say. */
interface Answer {
  status: number;
  body: {
    code: string;
    status: number;
    detail: string;
    mistakes: { path: string }[];
    job: Hex;
    items: { round: number; name: string }[];
    act: number;
    outcome: string;
    secret: string;
    trigger: object;
    url: string;
    headers: Record<string, string>;
    createdAt: string;
    updatedAt: string;
  };
}

export interface Signing {
  by?: { privateKey: string; address: string };
  as?: string;
  at?: number;
  audience?: string;
  signedPath?: string;
  signedBody?: string;
}

export interface ActSigning {
  by?: { privateKey: string; address: string };
  as?: string;
  reason?: string;
  /** What is changed before it is signed. */
  signed?: Partial<ActStatement>;
  /** What is changed after it was signed. */
  sent?: Partial<ActStatement>;
  domain?: Partial<SignatureDomain>;
}

/** The API over DynamoDB, S3, SQS and a chain, all real. */
export interface TestApi {
  app: ReturnType<typeof apiApp>;
  parts: ApiParts;
  /** Where the stores keep their files. */
  folder: string;
  /** A job that can be run: its files are stored. */
  spec: JobSpec;
  /** What would have reached Temporal, which has its tests in queues.test.ts. */
  signals: string[];
  post(path: string, message: unknown, how?: Signing): Promise<Answer>;
  /** Signs an act and sends it. */
  act(action: string, target: string, how?: ActSigning): Promise<Answer>;
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  stopChain(): Promise<void>;
  stop(): Promise<void>;
}

export async function startApi(): Promise<TestApi> {
  const stores = await startStores(['dynamodb', 's3', 'sqs']);
  const chain = await startPart(chainPart({ port: stores.ports.chain, stateDir: stores.folder }));
  const rpcUrl = `http://127.0.0.1:${stores.ports.chain}`;
  const deployment = await localContracts(stores.folder, new Wallet(coordinator.privateKey), rpcUrl);
  await enterChain(rpcUrl, deployment);
  await Promise.all([
    ensureTable({ table: String(process.env['TABLE_NAME']) }),
    ensureBucket({ bucket: String(process.env['BUCKET_NAME']) }),
  ]);
  Object.assign(process.env, {
    ...stores.queueUrls,
    TEMPORAL_ADDRESS: `127.0.0.1:${stores.ports.temporal}`,
    TEMPORAL_NAMESPACE: 'default',
    COORDINATOR_ADDRESS: coordinator.address,
    CHAIN_RPC_URLS: rpcUrl,
    CHAIN_DEPLOYMENT: JSON.stringify(deployment),
    STACK_ENTRANCE: JSON.stringify(await entranceOf(deployment)),
  });
  const signals: string[] = [];
  const temporal = { signalJob: async (job: Hex, signal: string) => void signals.push(`${signal} ${job}`) };
  const parts = { ...openApiParts(openLog('test'), noTelemetry), temporal };
  const app = apiApp(parts);
  const spec = exampleSpec({
    model: { sha256: await parts.artifacts.put(Buffer.from('model')) },
    evaluation: { sha256: await parts.artifacts.put(Buffer.from('evaluation')) },
    updates: { recipients: [{ member: stack, publicKey: `0x${'5e'.repeat(32)}` }] },
  });

  return {
    app,
    parts,
    folder: stores.folder,
    spec,
    signals,
    async post(path, message, how = {}) {
      const body = typeof message === 'string' ? message : (JSON.stringify(message) ?? '');
      const headers = await signedHeaders('POST', path, body, how);
      return read(await app.request(path, { method: 'POST', headers, body }));
    },
    async act(action, target, how) {
      const body = JSON.stringify(await actOf(deployment, action, target, how));
      const headers = { 'content-type': 'application/json' };
      return read(await app.request('/v1/acts', { method: 'POST', headers, body }));
    },
    get: async (path, headers = {}) => read(await app.request(path, { headers })),
    stopChain: () => chain.kill(),
    async stop() {
      await chain.kill();
      await stores.stop();
    },
  };
}

/** The coordinator signs where its stack is entered. */
async function entranceOf(deployment: Deployment): Promise<StackEntrance> {
  const privateKey = generateTlsKey();
  const made = await issueCertificate({ privateKey, name: 'north', seconds: 3_600, purpose: 'gatekeeper' });
  return signEntrance(new Wallet(coordinator.privateKey), deployment, {
    gatekeeper: 'gatekeeper.example:7233',
    namespace: 'default',
    sealingKey: toHex(generateX25519Key().publicKey),
    expiry: made.expiresAt,
    certificates: [made.certificate],
  });
}

/** What a runner sends to enrol; `change` happens before it signs. */
export async function enrolmentOf(
  deployment: Deployment,
  change: Partial<StackEntry['statement']> & {
    by?: { privateKey: string };
    seconds?: number;
    privateKey?: string;
    name?: string;
    data?: DataContract[];
  } = {},
): Promise<EnrolRequest> {
  const {
    by = runner,
    seconds = 3_600,
    privateKey = generateTlsKey(),
    name = 'ward-1',
    data,
    ...rest
  } = change;
  const made = await issueCertificate({ privateKey, name, seconds, purpose: 'runner' });
  const statement = {
    stack,
    runner: runner.address.toLowerCase() as Hex,
    tlsFingerprint: made.fingerprint,
    sealingKey: toHex(generateX25519Key().publicKey),
    expiry: made.expiresAt,
    nonce: Date.now(),
    ...rest,
  };
  const domain = entryDomain(deployment.chainId, deployment.consortium);
  const signature = await new Wallet(by.privateKey).signTypedData(domain, enrolmentTypes, statement);
  return {
    name,
    software: '0.1.0',
    machine: 'two cores',
    data: data ?? [{ name: 'digits', samples: 2_000, input: [1, 28, 28], classes: 10 }],
    entry: { statement, certificate: made.certificate, signature: signature as Hex },
  };
}

/** An act as a wallet signs it: typed data, by ethers' own encoder. */
export async function actOf(
  deployment: Deployment,
  action: string,
  target: string,
  { by = member, as, reason = '', signed, sent, domain }: ActSigning = {},
): Promise<object> {
  const issued = Math.floor(Date.now() / 1_000);
  const statement = {
    stack,
    url: stackUrl,
    action,
    target,
    reason,
    nonce: toHex(randomBytes(32)),
    issued,
    expiry: issued + 120,
    ...signed,
  };
  const place = { ...actDomain(deployment.chainId, deployment.consortium), ...domain };
  const signature = await new Wallet(by.privateKey).signTypedData(place, actTypes, statement);
  return {
    statement: { ...statement, ...sent },
    signer: (as ?? by.address).toLowerCase(),
    signature,
  };
}

async function read(answer: Response): Promise<Answer> {
  return { status: answer.status, body: JSON.parse((await answer.text()) || 'null') as Answer['body'] };
}

export async function signedHeaders(
  method: string,
  path: string,
  body: string,
  how: Signing,
): Promise<Record<string, string>> {
  const by = how.by ?? member;
  const timestamp = how.at ?? Math.floor(Date.now() / 1_000);
  const text = requestText({
    method,
    path: how.signedPath ?? path,
    bodyHash: sha256Hex(Buffer.from(how.signedBody ?? body)),
    timestamp,
    audience: how.audience ?? stack,
  });
  const signature = await new Wallet(by.privateKey).signMessage(text);
  return { authorization: authorizationHeader(how.as ?? by.address, timestamp, signature) };
}

/** The coordinator and a member are admitted; two runners of the member register with their stakes. */
async function enterChain(rpcUrl: string, deployment: Deployment): Promise<void> {
  const provider = localProvider(rpcUrl);
  const consortium = typedContract(consortiumAbi, deployment.consortium, provider);
  const token = typedContract(tokenAbi, deployment.token, provider);
  const send = (wallet: { privateKey: string }, call: ChainCall) =>
    sendCall(new Wallet(wallet.privateKey), provider, call);
  await send(coordinator, consortium.call.addMember(coordinator.address as Hex, 'north', stackUrl));
  await send(coordinator, consortium.call.addMember(member.address as Hex, 'harbour', ''));
  for (const wallet of [runner, secondRunner, strictRunner, silentRunner]) {
    await giveEther(provider, wallet.address);
    await send(coordinator, token.call.transfer(wallet.address as Hex, localTerms.minStake));
    await send(wallet, token.call.approve(deployment.consortium, localTerms.minStake));
    await send(wallet, consortium.call.register(member.address as Hex, localTerms.minStake));
  }
  await send(runner, consortium.call.serve(ZERO_HASH, ['digits']));
  await send(strictRunner, consortium.call.serve(keyFingerprint(strictRunnerTlsKey), ['digits', 'letters']));
  provider.destroy();
}

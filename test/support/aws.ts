import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignatureV4 } from '@smithy/signature-v4';
import { Sha256 } from '#services/awsApi.js';

/**
 * STS, Secrets Manager, SSM and Service Quotas as far as our programs ask them. Every request's signature is
 * recomputed with the one key pair that it knows, so a request that AWS would refuse is refused here.
 */
export interface TestAws {
  state: {
    account: string;
    /** Null: made, but nobody has put a value. */
    secrets: Record<string, string | null>;
    parameters: Record<string, string>;
    /** By quota code. */
    quotas: Record<string, number>;
    /** Operations that are answered with AccessDenied. */
    denied: string[];
  };
  close(): Promise<void>;
}

const keys = { accessKeyId: 'AKIATEST', secretAccessKey: 'secret-of-the-test' };

/** AWS_* of this process point to it until it is closed. */
export async function startAws(given: Partial<TestAws['state']> = {}): Promise<TestAws> {
  const state = {
    account: '111122223333',
    secrets: {},
    parameters: {},
    quotas: {},
    denied: [],
    ...given,
  } as TestAws['state'];
  const server = createServer((request, response) => {
    void readAll(request).then(async (body) => {
      const { status, text } = await answer(state, request, body);
      response.writeHead(status).end(text);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const set: Record<string, string> = {
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: keys.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    ...Object.fromEntries(
      ['STS', 'SECRETS_MANAGER', 'SSM', 'SERVICE_QUOTAS'].map((name) => [`AWS_ENDPOINT_URL_${name}`, url]),
    ),
  };
  const before = Object.fromEntries(Object.keys(set).map((name) => [name, process.env[name]]));
  Object.assign(process.env, set);
  return {
    state,
    async close() {
      for (const [name, value] of Object.entries(before))
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

async function readAll(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request.setEncoding('utf8')) text += String(piece);
  return text;
}

interface Reply {
  status: number;
  text: string;
}

async function answer(state: TestAws['state'], request: IncomingMessage, body: string): Promise<Reply> {
  const target = String(request.headers['x-amz-target'] ?? 'sts.GetCallerIdentity');
  const operation = target.slice(target.indexOf('.') + 1);
  if (!(await isSigned(request, body)))
    return refusal('InvalidSignatureException', 'The request signature we calculated does not match.');
  if (state.denied.includes(operation))
    return refusal('AccessDeniedException', `not authorized to perform ${operation}`);
  const input = operation === 'GetCallerIdentity' ? {} : (JSON.parse(body) as Record<string, string>);
  const secret = state.secrets[String(input['SecretId'])];
  switch (operation) {
    case 'GetCallerIdentity':
      return {
        status: 200,
        text: `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::${state.account}:user/ada</Arn><Account>${state.account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`,
      };
    case 'GetSecretValue':
      return secret === undefined || secret === null
        ? refusal('ResourceNotFoundException', "Secrets Manager can't find the specified secret.")
        : json({ SecretString: secret });
    case 'GetParameter': {
      const value = state.parameters[String(input['Name'])];
      return value === undefined
        ? refusal('ParameterNotFound', '')
        : json({ Parameter: { Name: input['Name'], Value: value } });
    }
    case 'GetServiceQuota': {
      const value = state.quotas[String(input['QuotaCode'])];
      return value === undefined ? refusal('NoSuchResourceException', '') : json({ Quota: { Value: value } });
    }
    default:
      return refusal('UnknownOperationException', operation);
  }
}

const json = (value: unknown): Reply => ({ status: 200, text: JSON.stringify(value) });
const refusal = (type: string, message: string): Reply => ({
  status: 400,
  text: JSON.stringify({ __type: `com.amazonaws#${type}`, message }),
});

async function isSigned(request: IncomingMessage, body: string): Promise<boolean> {
  const given = String(request.headers.authorization);
  const [, date = '', region = '', service = ''] =
    /Credential=[^/]+\/(\d+)\/([^/]+)\/([^/]+)\/aws4_request/.exec(given) ?? [];
  const names = /SignedHeaders=([^,]+)/.exec(given)?.[1]?.split(';') ?? [];
  const at = String(request.headers['x-amz-date']).replace(
    /^(....)(..)(..)T(..)(..)(..)Z$/,
    '$1-$2-$3T$4:$5:$6Z',
  );
  if (date === '' || Math.abs(Date.now() - Date.parse(at)) > 300_000) return false;
  const headers = Object.fromEntries(names.map((name) => [name, String(request.headers[name])]));
  const expected = await new SignatureV4({ service, region, sha256: Sha256, credentials: keys }).sign(
    { method: 'POST', protocol: 'http:', hostname: '127.0.0.1', path: '/', headers, body },
    { signingDate: new Date(at) },
  );
  return expected.headers['authorization'] === given;
}

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { NativeConnection } from '@temporalio/worker';
import { openTemporal } from '#functions/temporal.js';
import { findTemporal } from '#local/temporal/find.js';
import { createAuthority, issueFrom, type KeyPair } from '#services/certificateAuthority.js';
import {
  connectionOptions,
  credentialsEnd,
  explainFailure,
  temporalPlace,
  type TemporalCredentials,
  type TemporalPlace,
} from '#services/temporal.js';
import { hashOf } from './views.js';
import { startAws } from '../support/aws.js';
import { startTemporal } from '../support/temporal.js';
import { openDoor, type TemporalDoor } from '../support/temporalDoor.js';

const hour = 3_600;
const apiKey = 'key-of-this-namespace';
let temporal: TestWorkflowEnvironment;
let authority: KeyPair;
let server: KeyPair;
let client: KeyPair;
let folder: string;
beforeAll(async () => {
  temporal = await startTemporal();
  folder = mkdtempSync(join(tmpdir(), 'roundtable-credentials-'));
  authority = await createAuthority('test', hour);
  const issue = (name: string) =>
    issueFrom(authority, { name, hosts: ['127.0.0.1', 'localhost'], seconds: hour });
  [server, client] = await Promise.all([issue('server'), issue('client')]);
});
afterAll(async () => {
  await temporal.teardown();
  rmSync(folder, { recursive: true });
});

let doors: TemporalDoor[] = [];
afterEach(async () => {
  await Promise.all(doors.map((door) => door.close()));
  doors = [];
});

async function door(change: Partial<Parameters<typeof openDoor>[0]>): Promise<TemporalDoor> {
  const opened = await openDoor({ temporal: temporal.address ?? '', server, ...change });
  doors.push(opened);
  return opened;
}
const byCertificate = () => door({ clients: authority.certificate });
const byKey = () => door({ apiKey });

const placeAt = (address: string, credentials: TemporalCredentials | null): TemporalPlace => ({
  address,
  namespace: 'default',
  credentials,
});
const shown = (pair: KeyPair, ca = authority.certificate): TemporalCredentials => ({ ...pair, ca });

/** What functions meet: the code and the message of a failure, or that the job was started. */
async function asFunction(place: TemporalPlace): Promise<string> {
  const opened = openTemporal(() => Promise.resolve(place));
  try {
    await opened.startJob(hashOf(String(Math.random())));
    return 'started';
  } catch (error) {
    return `${(error as { code: string }).code} ${(error as Error).message}`;
  } finally {
    await opened.close();
  }
}

/** The same of the worker and its native connection. */
async function asWorker(place: TemporalPlace): Promise<string> {
  try {
    const connection = await NativeConnection.connect(connectionOptions(place));
    try {
      await connection.workflowService.describeNamespace({ namespace: place.namespace });
    } finally {
      await connection.close();
    }
    return 'connected';
  } catch (error) {
    const { code, message } = await explainFailure(place, error);
    return `${code} ${message}`;
  }
}

describe('a cluster that asks for certificates', () => {
  test('lets functions and worker in with one of its authority', async () => {
    const { address, passed } = await byCertificate();
    expect(await asFunction(placeAt(address, shown(client)))).toBe('started');
    expect(await asWorker(placeAt(address, shown(client)))).toBe('connected');
    expect(passed).toContain('/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution');
  });

  test("lets Temporal's own command in by the variables that infra/cdk/temporal.ts gives it", async () => {
    const { address } = await byCertificate();
    const { path } = await findTemporal();
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const { stdout } = await promisify(execFile)(
      path,
      ['operator', 'namespace', 'describe', '-n', 'default'],
      {
        env: {
          HOME: folder,
          TEMPORAL_ADDRESS: address,
          TEMPORAL_TLS: 'true',
          TEMPORAL_TLS_CLIENT_CERT_PATH: file('client.crt', client.certificate),
          TEMPORAL_TLS_CLIENT_KEY_PATH: file('client.key', client.key),
          TEMPORAL_TLS_SERVER_CA_CERT_PATH: file('ca.crt', authority.certificate),
        },
      },
    );
    expect(stdout).toMatch(/NamespaceInfo.Name +default/);
  });

  test('refuses one of another authority, and both say that it does', async () => {
    const { address, passed } = await byCertificate();
    const stranger = await issueFrom(await createAuthority('other', hour), {
      name: 'stranger',
      hosts: [],
      seconds: hour,
    });
    for (const met of [
      await asFunction(placeAt(address, shown(stranger))),
      await asWorker(placeAt(address, shown(stranger))),
    ])
      expect(met).toMatch(/^TEMPORAL_REFUSED .*client certificate/);
    expect(passed).toEqual([]);
  });

  test('refuses an API key alone, and both say that a certificate is asked for', async () => {
    const { address } = await byCertificate();
    const place = placeAt(address, { apiKey, ca: authority.certificate });
    for (const met of [await asFunction(place), await asWorker(place)])
      expect(met).toMatch(/^TEMPORAL_REFUSED .*client certificate/);
  });

  test('is not believed when its own certificate has expired, is by another authority or for another host', async () => {
    const expired = await issueFrom(authority, { name: 'server', hosts: ['127.0.0.1'], seconds: -60 });
    const elsewhere = await issueFrom(authority, {
      name: 'server',
      hosts: ['temporal.example.org'],
      seconds: hour,
    });
    const other = await createAuthority('other', hour);
    for (const [pair, ca, words] of [
      [expired, authority.certificate, "the server's certificate has expired"],
      [elsewhere, authority.certificate, "the server's certificate is for another host"],
      [server, other.certificate, 'not by an authority that `ca`'],
    ] as const) {
      const { address, passed } = await door({ server: pair, clients: authority.certificate });
      const place = placeAt(address, shown(client, ca));
      for (const met of [await asFunction(place), await asWorker(place)]) {
        expect(met).toMatch(/^TEMPORAL_REFUSED /);
        expect(met).toContain(words);
      }
      expect(passed).toEqual([]);
    }
  }, 60_000);
});

describe('a cluster that asks for an API key', () => {
  test('lets functions and worker in, which name their namespace', async () => {
    const { address } = await byKey();
    const place = placeAt(address, { apiKey, ca: authority.certificate });
    expect(await asFunction(place)).toBe('started');
    expect(await asWorker(place)).toBe('connected');
  });

  test('refuses a wrong one, and neither message shows it', async () => {
    const opened = await byKey();
    const place = placeAt(opened.address, { apiKey: 'another-key', ca: authority.certificate });
    for (const met of [await asFunction(place), await asWorker(place)]) {
      expect(met).toMatch(/^TEMPORAL_REFUSED .*the API key is wrong, revoked or expired/);
      expect(met).not.toContain('another-key');
    }
    expect(opened.denied).toBeGreaterThan(0);
    expect(opened.passed).toEqual([]);
  });
});

describe('without an answer', () => {
  test('nobody is blamed: the server is away', async () => {
    const { address, close } = await byCertificate();
    await close();
    doors = [];
    const place = placeAt(address, shown(client));
    expect(await asFunction(place)).toMatch(/^UNAVAILABLE Temporal does not answer/);
    expect(await asWorker(place)).toMatch(/^UNAVAILABLE Temporal does not answer/);
  });

  test('a server in the clear is named as one', async () => {
    const met = await asFunction(placeAt(temporal.address ?? '', shown(client)));
    expect(met).toMatch(/^TEMPORAL_REFUSED .*does not speak TLS|^UNAVAILABLE/);
  });
});

const options = (credentials: TemporalCredentials | null, address = 'temporal.example.org:7233') =>
  connectionOptions(placeAt(address, credentials));

describe('credentials', () => {
  test('are needed for every address but those of this machine', () => {
    expect(() => options(null)).toThrow(/TEMPORAL_CREDENTIALS/);
    for (const address of ['127.0.0.1:7233', 'localhost:7233', '[::1]:7233'])
      expect(options(null, address)).toEqual({ address });
  });

  test('that have expired, or not begun, are refused before anything is sent, with both times', async () => {
    const expired = await issueFrom(authority, { name: 'client', hosts: [], seconds: -60 });
    expect(() => options(shown(expired))).toThrow(/expired on 20.*by this machine's clock it is 20/);
    expect(credentialsEnd(shown(expired))).toBeLessThan(Date.now());
    expect(credentialsEnd({ apiKey })).toBeNull();
  });

  test('that do not belong together, or are no certificate, are refused without showing them', async () => {
    expect(() => options(shown({ ...client, key: server.key }))).toThrow(/does not belong/);
    const broken = '-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----';
    expect(() => options(shown({ ...client, certificate: broken }))).toThrow(
      /^The client certificate for Temporal cannot be read.$/,
    );
  });

  test('come from a file or from Secrets Manager, and what is wrong in them is said without their values', async () => {
    const file = join(folder, 'credentials.json');
    const environment = { TEMPORAL_ADDRESS: 'a.example.org:7233', TEMPORAL_NAMESPACE: 'consortium' };
    const read = (content: string) => {
      writeFileSync(file, content);
      return temporalPlace({ ...environment, TEMPORAL_CREDENTIALS_FILE: file })();
    };
    expect(await read(JSON.stringify({ apiKey }))).toEqual({
      address: 'a.example.org:7233',
      namespace: 'consortium',
      credentials: { apiKey },
    });
    for (const wrong of ['hunter2', '{"apiKey":"hunter2\\n"}', '{"certificate":"hunter2","key":"hunter2"}']) {
      const failure: unknown = await read(wrong).catch((error: unknown) => error);
      expect(String(failure)).toContain('credentials.json');
      expect(String(failure)).not.toContain('hunter2');
    }
    expect((await temporalPlace(environment)()).credentials).toBeNull();

    const aws = await startAws({
      secrets: { 'roundtable/test/temporal-credentials': JSON.stringify({ apiKey }) },
    });
    try {
      const place = temporalPlace({
        ...environment,
        TEMPORAL_CREDENTIALS_SECRET: 'roundtable/test/temporal-credentials',
      });
      expect((await place()).credentials).toEqual({ apiKey });
      aws.state.secrets['roundtable/test/temporal-credentials'] = JSON.stringify({ apiKey: 'rotated' });
      expect((await place()).credentials).toEqual({ apiKey: 'rotated' });
      await expect(
        temporalPlace({ ...environment, TEMPORAL_CREDENTIALS_SECRET: 'roundtable/other' })(),
      ).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringMatching(/no secret roundtable\/other in eu-central-1.*doctor --stage/),
      });
    } finally {
      await aws.close();
    }
  });
});

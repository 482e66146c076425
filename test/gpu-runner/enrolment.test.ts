import { beforeAll, describe, expect, test } from '@jest/globals';
import { Enrolment } from '#gpu-runner/enrolment.js';
import { readEntryKeys } from '#gpu-runner/entryKeys.js';
import { readRunnerHome } from '#gpu-runner/runnerHome.js';
import { certificateFingerprint, publicKeyFingerprint } from '#services/certificate.js';
import { until } from '../support/until.js';
import { chain, coordinator, startApi, type TestApi } from './api.js';
import { clientOf, makeHome } from './home.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});

const introduction = { name: 'north-1', software: 'test', machine: 'test', data: [] };
const { signal } = new AbortController();

async function enrolmentOf(seconds?: number) {
  const { folder, key } = await makeHome(api);
  const { paths } = await readRunnerHome(folder);
  const keys = await readEntryKeys(paths);
  const enrolment = new Enrolment({
    stack: clientOf(api, key),
    key,
    keys,
    place: chain,
    coordinator,
    name: 'north-1',
    ...(seconds === undefined ? {} : { seconds }),
  });
  return { enrolment, key, keys, paths };
}

describe('an enrolled runner', () => {
  test('has a door that the stack knows its certificate at, and that the member signed for', async () => {
    const { enrolment, key, keys } = await enrolmentOf();
    const first = enrolment.door();
    await enrolment.enrol(introduction, signal);
    const door = await first;
    expect(door).toMatchObject({
      address: api.entrance.statement.gatekeeper,
      namespace: 'default',
      privateKey: keys.tls,
      authorities: api.entrance.certificates[0],
      coordinatorSealingKey: api.entrance.statement.sealingKey,
    });
    const entry = await api.table.findEntry(certificateFingerprint(door.certificate));
    expect(entry).toMatchObject({ runner: key.address, sealingKey: keys.sealing.publicKey });
    expect(entry?.expiresAt).toBeGreaterThan(Date.now() / 1_000 + 23 * 3_600);
  });

  test('keeps its certificate while it is young, and renews it under the same key after half its life', async () => {
    const { enrolment } = await enrolmentOf(8);
    await enrolment.enrol(introduction, signal);
    const door = await enrolment.door();
    await enrolment.enrol(introduction, signal);
    expect(await enrolment.door()).toBe(door);
    await until(() => enrolment.isDue(), 'the next enrolment');
    expect(door.replaced.aborted).toBe(false);
    await enrolment.enrol(introduction, signal);
    const next = await enrolment.door();
    expect(door.replaced.aborted).toBe(true);
    expect(next.certificate).not.toBe(door.certificate);
    expect(publicKeyFingerprint(next.certificate)).toBe(publicKeyFingerprint(door.certificate));
    // Both stand for the runner until the older one ends, so that a task can be answered meanwhile.
    expect(await api.table.findEntry(certificateFingerprint(next.certificate))).not.toBeNull();
  });

  test('does not come in where another than the member says', async () => {
    const { enrolment } = await enrolmentOf();
    const signed = api.entrance;
    api.entrance = { ...signed, statement: { ...signed.statement, gatekeeper: 'evil.example:7233' } };
    try {
      await expect(enrolment.enrol(introduction, signal)).rejects.toMatchObject({ code: 'BAD_SIGNATURE' });
      expect(enrolment.isDue()).toBe(true);
    } finally {
      api.entrance = signed;
    }
  });
});

test('the keys of the door are made once, for the owner only', async () => {
  const { keys, paths } = await enrolmentOf();
  expect(await readEntryKeys(paths)).toEqual(keys);
  const { chmod } = await import('node:fs/promises');
  await chmod(paths.sealingKey, 0o644);
  await expect(readEntryKeys(paths)).rejects.toMatchObject({ code: 'KEY_EXPOSED' });
});

import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readWallet } from '#cli/api.js';
import { sendWebhook } from '#cli/trigger/webhook.js';
import type { LocalStack } from '#local/stack.js';
import { forget, runScenario, whileCollecting } from '../faults/laboratory.js';
import { apiOf } from '../support/stackApi.js';

/** A whole job on a whole stack; then every byte that it left anywhere is searched for its secrets. */
interface Secret {
  /** Whose it is, for the message; never the secret itself. */
  name: string;
  spellings: Buffer[];
}

interface LivePart {
  name: string;
  pid: number;
  commandLine: Buffer;
  environment: Buffer;
  limits: string;
  /** Secrets found in its memory; null where the system does not let us look. */
  inMemory: string[] | null;
}

/** Parts that hold keys because they sign with them. */
const SIGNERS = /^(worker|runner)/;

let state = '';
let secrets: Secret[] = [];
let webhookSecret: Secret | undefined;
let parts: LivePart[] = [];

beforeAll(async () => {
  const outcome = await runScenario({
    faults: [{ at: whileCollecting(2), break: (stack) => inspect(stack) }],
  });
  state = outcome.state;
  expect(outcome.job.state).toBe('done');
}, 240_000);
afterAll(() => {
  if (state !== '') forget(state);
});

describe('after a whole run nobody finds a private key', () => {
  test('there are keys to look for: members, runners, archive, sealing, webhook', () => {
    expect(secrets.length).toBeGreaterThan(10);
    expect(parts.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['api', 'worker', 'temporal', 'chain']),
    );
  });

  test('that the search would overlook: it finds each in the file that holds it', () => {
    for (const { name, spellings } of secrets) {
      const content = readFileSync(join(state, name));
      expect([name, spellings.some((spelling) => content.includes(spelling))]).toEqual([name, true]);
    }
  });

  test('in logs, workflow histories, archives, table, queues, artifacts, or any other file but the keys’ own', () => {
    const found: string[] = [];
    let bytes = 0;
    for (const path of filesIn(state)) {
      if (holdsKeys(relative(state, path))) continue;
      const content = readFileSync(path);
      bytes += content.length;
      // A webhook's secret is kept in the table, because each delivery is checked against it; nowhere else.
      const isTable = /dynamo/i.test(relative(state, path));
      for (const secret of [...secrets, ...(webhookSecret && !isTable ? [webhookSecret] : [])])
        if (secret.spellings.some((spelling) => content.includes(spelling)))
          found.push(`${secret.name} in ${relative(state, path)}`);
    }
    expect(found).toEqual([]);
    expect(bytes).toBeGreaterThan(1_000_000);
  });

  test('in the command lines and environments of the processes, where everybody on the machine can read', () => {
    for (const { name, commandLine, environment } of parts)
      for (const secret of [...secrets, ...(webhookSecret ? [webhookSecret] : [])])
        for (const place of [commandLine, environment])
          expect([name, secret.name, secret.spellings.some((spelling) => place.includes(spelling))]).toEqual([
            name,
            secret.name,
            false,
          ]);
  });

  test('in a core file: no part may write one', () => {
    for (const { name, limits } of parts)
      expect([name, /^Max core file size\s+(\d+)/m.exec(limits)?.[1]]).toEqual([name, '0']);
  });

  test('in the memory of a part that does not sign with it', () => {
    const looked = parts.filter(({ inMemory }) => inMemory !== null);
    // Where the system forbids to read another process's memory there is nothing to look at.
    for (const { name, inMemory } of looked)
      if (!SIGNERS.test(name)) expect([name, inMemory]).toEqual([name, []]);
    // Whoever looks like this does find what is there: the worker keeps the archive's key.
    for (const { name, inMemory } of looked) if (name === 'worker') expect(inMemory).not.toEqual([]);
    if (process.getuid?.() === 0) expect(looked.length).toBeGreaterThan(4);
  });
});

test('a key file with a mistake in it is named, and none of its digits shown', () => {
  const path = join(state, 'wrong-key');
  writeFileSync(path, `0x${'abcdef'.repeat(10)}`);
  let said = '';
  try {
    readWallet(path);
  } catch (error) {
    said = String(error);
  }
  expect(said).toContain('wrong-key');
  expect(said).not.toContain('abcdef');
});

/** Everything that can only be seen while the stack runs. */
async function inspect(stack: LocalStack): Promise<void> {
  const { api: url, keys } = stack.file;
  const api = apiOf(stack);
  const [job] = await api.jobs();
  if (!job) throw new Error('there is no job to make a trigger from');
  const { trigger, secret } = await api.addTrigger({
    name: 'secret-keeper',
    kind: 'github',
    events: ['push'],
    refs: ['refs/heads/nothing'],
    spec: job.spec,
  });
  await sendWebhook({ api: url, trigger, secret });
  webhookSecret = { name: 'the webhook secret', spellings: [Buffer.from(secret)] };
  const folder = keys.coordinator.slice(0, keys.coordinator.lastIndexOf('/keys/'));
  secrets = secretsIn(folder);
  parts = stack.supervisor
    .status()
    .flatMap(({ name, pid }) => (pid === null ? [] : [{ name, pid }]))
    .map(({ name, pid }) => ({
      name,
      pid,
      commandLine: readFileSync(`/proc/${pid}/cmdline`),
      environment: readFileSync(`/proc/${pid}/environ`),
      limits: readFileSync(`/proc/${pid}/limits`, 'utf8'),
      inMemory: searchMemory(pid),
    }));
}

/** Files that are allowed to hold a secret: keys/, and each runner's own. */
function holdsKeys(path: string): boolean {
  return path.startsWith('keys/') || /(^|\/)(key|tls\.key|sealing\.key|keystore[^/]*|[^/]*\.pem)$/.test(path);
}

function secretsIn(folder: string): Secret[] {
  return filesIn(folder)
    .filter((path) => holdsKeys(relative(folder, path)))
    .flatMap((path) => {
      const name = relative(folder, path);
      const text = readFileSync(path, 'utf8');
      const hex = [...text.matchAll(/\b(?:0x)?([0-9a-fA-F]{64})\b/g)].map(([, digits = '']) =>
        Buffer.from(digits, 'hex'),
      );
      const jwk = [...text.matchAll(/"(?:d|p|q|dp|dq|qi)"\s*:\s*"([A-Za-z0-9_-]{40,})"/g)].map(
        ([, value = '']) => Buffer.from(value, 'base64url'),
      );
      const pem = [...text.matchAll(/PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END/g)].map(
        ([, value = '']) => ({ name, spellings: [...spellingsOf(unwrapped(value)), ...wrapped(value)] }),
      );
      return [...[...hex, ...jwk].map((raw) => ({ name, spellings: spellingsOf(raw) })), ...pem];
    });
}

const unwrapped = (base64: string): Buffer => Buffer.from(base64.replace(/\s/g, ''), 'base64');

/** A key's lines as they stand in PEM, and as JSON writes them. */
function wrapped(base64: string): Buffer[] {
  return [base64, base64.replaceAll('\n', '\\n')].map((text) => Buffer.from(text));
}

/** As it could stand in a file: raw, hexadecimal of either case, base64 of both alphabets. */
function spellingsOf(raw: Buffer): Buffer[] {
  const hex = raw.toString('hex');
  const texts = [
    hex,
    hex.toUpperCase(),
    raw.toString('base64').replace(/=+$/, ''),
    raw.toString('base64url'),
  ];
  return [raw, ...texts.map((text) => Buffer.from(text))];
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true);
}

/** Places among the spellings: raw, hexadecimal, base64url. */
const FORMS = [0, 1, 4];

/** Writable memory of a process, region by region; reserved regions beyond half a gigabyte are passed over. */
function searchMemory(pid: number): string[] | null {
  let memory: number;
  try {
    memory = openSync(`/proc/${pid}/mem`, 'r');
  } catch {
    return null;
  }
  const found = new Set<string>();
  // One key of each kind, raw, in hexadecimal and in base64url: memory is large.
  const wanted = [/coordinator|north$/, /arweave/, /x25519$/, /runners\//].flatMap((kind) =>
    secrets.filter(({ name }) => kind.test(name)).slice(0, 1),
  );
  const piece = Buffer.alloc(4 * 1024 * 1024);
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from = '0', to = '0', rights = ''] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line) ?? [];
      const [start, end] = [Number.parseInt(from, 16), Number.parseInt(to, 16)];
      if (!rights.startsWith('rw') || end - start > 512 * 1024 * 1024) continue;
      // Pieces overlap by more than the longest spelling.
      for (let at = start; at < end; at += piece.length - 2_048) {
        const length = readPiece(memory, piece, Math.min(piece.length, end - at), at);
        for (const { name, spellings } of wanted)
          if (
            !found.has(name) &&
            FORMS.some((form) => piece.subarray(0, length).includes(spellings[form] ?? Buffer.of(0)))
          )
            found.add(name);
      }
    }
  } finally {
    closeSync(memory);
  }
  return [...found];
}

/** Bytes read; 0 where a page cannot be. */
function readPiece(file: number, into: Buffer, length: number, at: number): number {
  try {
    return readSync(file, into, 0, length, at);
  } catch {
    return 0;
  }
}

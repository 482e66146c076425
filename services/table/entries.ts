import { z } from 'zod';
import type { Hex, RunnerId, Sha256Hex } from '#core/hex.js';
import { longestEntrySeconds, suspension, type Suspension } from '#core/entryMessages.js';
import { address, count, hash32 } from '#core/schema.js';
import { expiryAttribute } from './definition.js';
import type { Items } from './items.js';
import { decodeView, encodeView } from './views.js';
import { listedRunner } from './runners.js';

const entry = z.strictObject({ runner: address, fingerprint: hash32, sealingKey: hash32, expiresAt: count });

/** A certificate that stands for a runner until it expires. */
export interface Entry {
  runner: RunnerId;
  /** SHA-256 of the certificate, DER. */
  fingerprint: Sha256Hex;
  /** The runner's X25519 key. */
  sealingKey: Hex;
  /** Seconds since 1970. */
  expiresAt: number;
}

/** Who is kept out, whatever the table says of its entries. */
export interface Barred {
  runners: ReadonlySet<RunnerId>;
  /** Certificates that were revoked before they expired. */
  fingerprints: ReadonlySet<Sha256Hex>;
}

/** Who may come in: read by the gatekeeper, written by enrolment and by the stack's member. */
export interface EntryTable {
  /**
   * Notes a runner's certificate beside those it has: while one is renewed, both count.
   * False: a statement with this nonce or a higher one came before.
   */
  enterRunner(entry: Entry, nonce: number): Promise<boolean>;
  /** Whom a certificate stands for; null when it is unknown or has expired. */
  findEntry(fingerprint: Sha256Hex): Promise<Entry | null>;
  /** The key that payloads for the runner are encrypted with: of its last entry, null if it never entered. */
  sealingKey(runner: RunnerId): Promise<Hex | null>;
  /** A suspended runner is let in nowhere, whatever certificates it has; null lifts it. */
  suspendRunner(runner: RunnerId, suspension: Suspension | null): Promise<void>;
  suspension(runner: RunnerId): Promise<Suspension | null>;
  /** For a certificate whose key was stolen: it counts no longer; the runner enters with another one. */
  revokeEntry(fingerprint: Sha256Hex): Promise<void>;
  /** All that are suspended or revoked, in one read: the gatekeeper makes it every second. */
  listBarred(): Promise<Barred>;
}

export function entryTable(items: Items): EntryTable {
  return {
    async enterRunner(entry, nonce) {
      // Between the two a crash loses nothing: the runner asks again, with a nonce of its own.
      const { updated } = await items.update(runnerKey(entry.runner), {
        expression: 'SET #nonce = :nonce, #view = :view',
        condition: 'attribute_not_exists(#nonce) OR #nonce < :nonce',
        values: { ':nonce': nonce, ':view': encodeView(entry) },
      });
      if (!updated) return false;
      await items.put({
        pk: `entry#${entry.fingerprint}`,
        sk: 'entry',
        view: encodeView(entry),
        [expiryAttribute]: entry.expiresAt,
      });
      return true;
    },

    async findEntry(fingerprint) {
      const item = await items.get({ pk: `entry#${fingerprint}`, sk: 'entry' });
      if (!item) return null;
      const found = decodeView(entry, item);
      // DynamoDB deletes what has expired when it likes.
      return found.expiresAt > Date.now() / 1_000 ? found : null;
    },

    async sealingKey(runner) {
      const item = await items.get(runnerKey(runner));
      return item?.['view'] === undefined ? null : decodeView(entry, item).sealingKey;
    },

    async suspendRunner(runner, value) {
      await items.put({ ...barredKey(`runner#${runner}`), suspension: value && encodeView(value) });
      // The row above decides; this one only shows it in lists.
      await items.update(listedRunner(runner), {
        expression: 'SET #suspension = :suspension',
        condition: 'attribute_exists(pk)',
        values: { ':suspension': value && encodeView(value) },
      });
    },

    async suspension(runner) {
      const stored = (await items.get(barredKey(`runner#${runner}`)))?.['suspension'];
      return typeof stored === 'string' ? suspension.parse(JSON.parse(stored)) : null;
    },

    async revokeEntry(fingerprint) {
      await items.put({
        ...barredKey(`certificate#${fingerprint}`),
        // Until then it has expired in any case.
        [expiryAttribute]: Math.ceil(Date.now() / 1_000) + longestEntrySeconds,
      });
    },

    async listBarred() {
      const runners = new Set<RunnerId>();
      const fingerprints = new Set<Sha256Hex>();
      for (const { sk, suspension: stored } of await items.query('barred')) {
        const [kind, name] = sk.split('#');
        if (kind === 'runner' && typeof stored === 'string') runners.add(address.parse(name));
        if (kind === 'certificate') fingerprints.add(hash32.parse(name));
      }
      return { runners, fingerprints };
    },
  };
}

const runnerKey = (runner: RunnerId) => ({ pk: `runner#${runner}`, sk: 'entry' });
/** One partition, so that all of them are one read. */
const barredKey = (what: string) => ({ pk: 'barred', sk: what });

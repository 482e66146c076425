import type { Hex } from '#core/hex.js';
import type { EnrolAnswer, Introduction } from '#core/entryMessages.js';
import { issueCertificate, type Certificate } from '#services/certificate.js';
import { checkEntrance, type EntryPlace } from '#services/entrance.js';
import type { EntryKeys } from './entryKeys.js';
import type { RunnerKey } from './runnerKey.js';
import type { StackClient } from './stackClient.js';

/** How to come into a stack and what to show there. */
export interface Door {
  /** host:port of the gatekeeper. */
  address: string;
  namespace: string;
  /** The runner's, PEM. */
  certificate: string;
  privateKey: string;
  /** The only certificates that the gatekeeper may show, PEM, one after the other. */
  authorities: string;
  /** X25519 key of the stack's member. */
  coordinatorSealingKey: Hex;
  /** The runner's own X25519 key, private. */
  sealingKey: Uint8Array;
  /** Aborted as soon as door() gives a newer one; this one stays good until its certificate ends. */
  replaced: AbortSignal;
}

const lifetimeSeconds = 24 * 3_600;

/**
 * A runner's entry at one stack. Certificates are short-lived, so that a stolen one is soon worth nothing, and
 * renewed at half their life, so that a stack may be away for hours before anybody is locked out.
 */
export class Enrolment {
  readonly #options: EnrolmentOptions;
  #certificate: Certificate | null = null;
  #nonce = 0;
  #door: { value: Door; replace: AbortController } | null = null;
  readonly #waiting: ((door: Door) => void)[] = [];

  constructor(options: EnrolmentOptions) {
    this.#options = options;
  }

  /** There is no certificate yet, or more than half of its life is over. */
  isDue(): boolean {
    const half = (this.#options.seconds ?? lifetimeSeconds) / 2;
    return this.#certificate === null || this.#certificate.expiresAt - half < Date.now() / 1_000;
  }

  /**
   * Introduces the runner with a certificate that is good for at least half its life.
   * @throws what the stack refuses it with; BAD_SIGNATURE, TOO_OLD when its member did not sign the entrance
   */
  async enrol(introduction: Introduction, signal: AbortSignal): Promise<EnrolAnswer> {
    const { stack, key, keys, place, coordinator, name, seconds = lifetimeSeconds } = this.#options;
    const certificate =
      this.isDue() || this.#certificate === null
        ? await issueCertificate({ privateKey: keys.tls, name, seconds, purpose: 'runner' })
        : this.#certificate;
    this.#nonce = Math.max(this.#nonce + 1, Date.now());
    const statement = {
      stack: coordinator,
      runner: key.address,
      tlsFingerprint: certificate.fingerprint,
      sealingKey: keys.sealing.publicKey,
      expiry: certificate.expiresAt,
      nonce: this.#nonce,
    };
    const entry = {
      statement,
      certificate: certificate.certificate,
      signature: key.signEnrolment(place, statement),
    };
    const answer = await stack.enrol({ ...introduction, entry }, signal);
    checkEntrance(answer.entrance, place, coordinator);
    this.#certificate = certificate;
    this.#open(certificate, answer.entrance);
    return answer;
  }

  /** The newest; the first when the runner is enrolled for the first time. */
  door(): Promise<Door> {
    if (this.#door) return Promise.resolve(this.#door.value);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #open(certificate: Certificate, { statement, certificates }: EnrolAnswer['entrance']): void {
    const { keys } = this.#options;
    const before = this.#door;
    const replace = new AbortController();
    const value: Door = {
      address: statement.gatekeeper,
      namespace: statement.namespace,
      certificate: certificate.certificate,
      privateKey: certificate.privateKey,
      authorities: certificates.join('\n'),
      coordinatorSealingKey: statement.sealingKey,
      sealingKey: keys.sealing.privateKey,
      replaced: replace.signal,
    };
    if (before && sameDoor(before.value, value)) return;
    this.#door = { value, replace };
    before?.replace.abort();
    for (const resolve of this.#waiting.splice(0)) resolve(value);
  }
}

export interface EnrolmentOptions {
  stack: Pick<StackClient, 'enrol'>;
  key: RunnerKey;
  keys: EntryKeys;
  place: EntryPlace;
  /** Address of the stack's member. */
  coordinator: Hex;
  /** The runner's name, which its certificate shows to people. */
  name: string;
  /** Life of a certificate; a day if not given. */
  seconds?: number;
}

function sameDoor(a: Door, b: Door): boolean {
  return (
    a.address === b.address &&
    a.namespace === b.namespace &&
    a.certificate === b.certificate &&
    a.authorities === b.authorities &&
    a.coordinatorSealingKey === b.coordinatorSealingKey
  );
}

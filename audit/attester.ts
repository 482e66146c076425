/**
 * Recomputes rounds before they close, for a member that is drawn, and signs for those in which nothing is wrong: "I hold
 * every update under this root and recomputed it" (contracts/Attestations.sol). What is proposed is a stranger's word: it is
 * looked at only where the chain says that it is due and that this member is drawn.
 */
import {
  attestationTypes,
  updateDomain,
  type AttestationStatement,
  type SignatureDomain,
} from '#core/eip712.js';
import type { Attestation, ClosingProposal } from '#core/attestations.js';
import { isRoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { closingHash } from '#services/chain/words.js';
import { accuse } from './dispute.js';
import type { AuditSources, UpdateSource } from './sources.js';

/** signed: nothing is wrong. refused: something is. undecided: not all could be recomputed; it is looked at again. */
export interface AttestationView {
  job: Hex;
  round: number;
  coordinator: Hex;
  outcome: 'signed' | 'refused' | 'undecided';
  what: string;
}

/** Another member's stack, at the URL that it has on chain. */
export interface ProposingStack {
  coordinator: Hex;
  proposals(): Promise<ClosingProposal[]>;
  /** What its runners sent; the store's word, so it is checked against the signed roots. */
  updateSource: UpdateSource;
  attest(attestation: Attestation): Promise<void>;
}

/** A key that signs typed data. */
export interface AttestingKey {
  address: Hex;
  sign(domain: SignatureDomain, types: typeof attestationTypes, statement: AttestationStatement): Hex;
}

/** Closings of one round that are recomputed: more are a coordinator's to annoy. */
const mostClosings = 3;

export class Attester {
  /** What was decided, by the closing's hash. */
  readonly #decided = new Set<Hex>();
  readonly #tries = new Map<string, Set<Hex>>();
  readonly #said = new Map<Hex, string>();

  /** @param sources with which models that are sealed for the member can be opened; updates come from the stacks */
  constructor(
    private readonly sources: AuditSources,
    private readonly key: AttestingKey,
  ) {}

  /**
   * Looks at what stacks propose. One that does not answer, or proposes nonsense, keeps nobody from the others.
   * @returns how many rounds wait for this member
   */
  async look(
    stacks: readonly ProposingStack[],
    say: (view: AttestationView) => void,
    complain: (coordinator: Hex, error: unknown) => void,
  ): Promise<number> {
    let waiting = 0;
    for (const stack of stacks)
      try {
        for (const proposal of await stack.proposals()) {
          const closing = closingHash(proposal.opening, proposal);
          if (this.#decided.has(closing) || !(await this.#isDue(stack, proposal, closing))) continue;
          waiting += 1;
          await this.#consider(stack, proposal, closing, say);
        }
      } catch (error) {
        complain(stack.coordinator, error);
      }
    return waiting;
  }

  async #isDue(
    stack: ProposingStack,
    { job, round, opening }: ClosingProposal,
    closing: Hex,
  ): Promise<boolean> {
    const { chain } = this.sources;
    const now = await chain.commitments(job, round);
    if (now.opening !== opening || now.closing) return false;
    const { coordinator, phase } = await chain.escrow(job);
    if (coordinator !== stack.coordinator || phase !== 'running') return false;
    if (!(await chain.drawn(job))?.includes(this.key.address)) return false;
    const name = `${job}/${round}/${opening}`;
    const tried = this.#tries.get(name) ?? new Set();
    this.#tries.set(name, tried.add(closing));
    return tried.size <= mostClosings;
  }

  async #consider(
    stack: ProposingStack,
    proposal: ClosingProposal,
    closing: Hex,
    say: (view: AttestationView) => void,
  ): Promise<void> {
    const { job, round, opening: _opening, ...fields } = proposal;
    const tell = (outcome: AttestationView['outcome'], what: string): void => {
      if (this.#said.get(closing) === what) return;
      this.#said.set(closing, what);
      say({ job, round, coordinator: stack.coordinator, outcome, what });
    };
    try {
      const sources = { ...this.sources, updateSource: stack.updateSource };
      const { accusations, unknown, undisputable = [] } = await accuse(sources, job, round, fields);
      const wrong = [...new Set([...accusations.map(({ what }) => what), ...undisputable])];
      if (wrong.length > 0) {
        this.#decided.add(closing);
        return tell('refused', wrong.join('; '));
      }
      if (unknown.length > 0) return tell('undecided', `not recomputed: ${unknown.join('; ')}`);
      const { chainId, jobs } = this.sources.chain.deployment;
      const statement = { job, round, closing };
      const signature = this.key.sign(updateDomain(chainId, jobs), attestationTypes, statement);
      await stack.attest({ ...statement, signature });
      this.#decided.add(closing);
      tell('signed', 'every update under its root was recomputed');
    } catch (error) {
      const code = isRoundtableError(error) ? `${error.code}: ` : '';
      tell('undecided', `${code}${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

import type { Hex, JobId } from '#core/hex.js';
import { closingProposal, mostProposals, type ClosingProposal } from '#core/attestations.js';
import { address, signature65 } from '#core/schema.js';
import { expiryAttribute } from './definition.js';
import { ordinal, type Items } from './items.js';
import { decodeView, encodeView } from './views.js';

/** Rounds that wait for the signatures of drawn members, and the signatures. */
export interface AttestationTable {
  /** One for each round; the last one counts. */
  proposeClosing(proposal: ClosingProposal): Promise<void>;
  withdrawProposal(job: JobId, round: number): Promise<void>;
  /** At most 64, ascending by job and round. */
  listProposals(): Promise<ClosingProposal[]>;
  /** One for each member and closing; repeated, it is the same. @param closing its hash */
  putAttestation(closing: Hex, member: Hex, signature: Hex): Promise<void>;
  listAttestations(closing: Hex): Promise<{ member: Hex; signature: Hex }[]>;
}

/** As long as the longest round may wait for them, and the worker be away. */
const keptSeconds = 30 * 86_400;

export function attestationTable(items: Items): AttestationTable {
  return {
    proposeClosing: (proposal) =>
      items.put({
        ...proposalKey(proposal.job, proposal.round),
        view: encodeView(proposal),
        ...expires(),
      }),
    withdrawProposal: (job, round) => items.remove(proposalKey(job, round)),
    listProposals: async () =>
      (await items.after(proposals, ' ', mostProposals)).map((item) => decodeView(closingProposal, item)),
    putAttestation: (closing, member, signature) =>
      items.put({ ...attestationsOf(closing), sk: member, signature, ...expires() }),
    listAttestations: async (closing) =>
      (await items.query(attestationsOf(closing).pk)).map(({ sk, signature }) => ({
        member: address.parse(sk),
        signature: signature65.parse(signature),
      })),
  };
}

const expires = () => ({ [expiryAttribute]: Math.floor(Date.now() / 1_000) + keptSeconds });
const proposals = 'proposals';
const proposalKey = (job: JobId, round: number) => ({ pk: proposals, sk: `${job}#${ordinal(round)}` });
const attestationsOf = (closing: Hex) => ({ pk: `attestations#${closing}` });

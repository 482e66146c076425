import type { OpenAPIHono } from '@hono/zod-openapi';
import { attestation, closingProposal } from '#core/attestations.js';
import { attestationTypes, updateDomain } from '#core/eip712.js';
import { RoundtableError } from '#core/errors.js';
import { closingHash } from '#services/chain/words.js';
import { typedDataSigner } from '#services/signatures.js';
import type { ApiParts } from './app.js';
import { addEndpoint, itemsOf } from './endpoint.js';

/** Where this stack's rounds wait for drawn members: what is to be signed, and the signatures. */
export function addAttestations(app: OpenAPIHono, parts: ApiParts): void {
  const { table, membership, deployment } = parts;

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/attestations',
      summary: 'Closings that wait for the signatures of drawn members.',
      signers: 'anybody',
      status: 200,
      answer: itemsOf(closingProposal),
    },
    async () => ({ items: await table.listProposals() }),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/attestations',
      summary: 'A drawn member has recomputed a closing that waits, and signs it (EIP-712, core/eip712.ts).',
      signers: 'member',
      body: attestation,
      status: 204,
    },
    async ({ body: { job, round, closing, signature }, signer: { member } }) => {
      const proposed = (await table.listProposals()).find(
        (proposal) => proposal.job === job && proposal.round === round,
      );
      if (!proposed || closingHash(proposed.opening, proposed) !== closing)
        throw new RoundtableError(
          'NOT_FOUND',
          `Round ${round} of job ${job} does not wait for signatures of the closing ${closing}.`,
        );
      const drawn = await membership.drawn(job);
      if (!drawn?.includes(member))
        throw new RoundtableError('FORBIDDEN', `${member} is not drawn for round ${round} of job ${job}.`);
      const domain = updateDomain(deployment.chainId, deployment.jobs);
      if (typedDataSigner(domain, attestationTypes, { job, round, closing }, signature) !== member)
        throw new RoundtableError('BAD_SIGNATURE', `The attestation is not signed by ${member}.`);
      await table.putAttestation(closing, member, signature);
      return null;
    },
  );
}

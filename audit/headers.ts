/** Who took part in a round and what they signed (PROTOCOL sections 2, 3 and 5). */
import { aggregationHeaders } from '#core/commitment.js';
import { updateDomain, updateTypes } from '#core/eip712.js';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import type { ManifestHeader, RoundManifest } from '#core/manifest.js';
import type { RoundOpening } from '#core/messages.js';
import { openHash } from '#core/openHash.js';
import { weightOf, weightShift } from '#core/weights.js';
import { typedDataSigner } from '#services/signatures.js';
import { same, Wrong, type Checklist } from './checklist.js';
import type { AuditChain, AuditSources } from './sources.js';

type Round = RoundManifest['hashed'];

/** @param onChain the openHash of the RoundOpened event */
export async function checkOpening(
  list: Checklist,
  sources: AuditSources<AuditChain>,
  subject: string,
  opening: RoundOpening,
  onChain: Hex,
): Promise<void> {
  await list.check(
    subject,
    'opening',
    "SHA-256 over base, spec and selection, against the chain's",
    (say) => {
      same('the open hash', openHash(sources.hash, opening), opening.openHash);
      same('the open hash on chain', onChain, opening.openHash);
      same('the shift', opening.shift, weightShift(opening.selection.map(({ maxSamples }) => maxSamples)));
      say(`${opening.selection.length} runners were asked`);
    },
  );
}

export async function checkParticipants(
  list: Checklist,
  subject: string,
  { headers, missing, opening, spec }: Round,
  dimension: number,
): Promise<void> {
  await list.check(
    subject,
    'participants',
    'headers against selection, samples, weights and quorum',
    (say) => {
      const selected = new Map(opening.selection.map(({ runner, maxSamples }) => [runner, maxSamples]));
      const absent = new Set(missing.map(({ runner }) => runner));
      for (const [index, header] of headers.entries()) {
        const who = `runner ${header.runner}`;
        const place = { runner: header.runner };
        const limit = selected.get(header.runner);
        same(`the index of ${who}`, header.index, index, place);
        if (index > 0 && header.runner <= (headers[index - 1]?.runner ?? ''))
          throw new Wrong(`${who} is out of order or there twice`, place);
        if (limit === undefined) throw new Wrong(`${who} was not selected`, place);
        if (absent.has(header.runner)) throw new Wrong(`${who} is both present and missing`, place);
        if (header.samples > limit)
          throw new Wrong(`${who} signed ${header.samples} samples, and ${limit} were declared`, place);
        same(`the weight of ${who}`, header.weight, weightOf(header.samples, opening.shift), place);
        same(`the dimension of ${who}`, header.dimension, dimension, place);
      }
      const present = new Set(headers.map(({ runner }) => runner));
      for (const runner of selected.keys())
        if (!present.has(runner) && !absent.has(runner))
          throw new Wrong(`runner ${runner} was selected and is neither present nor missing`, { runner });
      const { quorum } = spec.participants;
      const needed = quorum === 'all' ? selected.size : quorum;
      if (headers.length < needed)
        throw new Wrong(`${headers.length} updates do not make the quorum of ${needed}`);
      say(`${headers.length} present, ${missing.length} missing`);
    },
  );
}

export async function checkSignatures(
  list: Checklist,
  subject: string,
  { headers, opening, domain }: Round,
): Promise<void> {
  await list.check(subject, 'signatures', 'EIP-712, signer recovered, low s', (say) => {
    for (const header of headers) {
      const signer = recover(header, opening, domain);
      if (signer !== header.runner)
        throw new Wrong(
          `the signature of runner ${header.runner} is ${signer === null ? 'malformed' : `of ${signer}`}`,
          { runner: header.runner },
        );
    }
    say(`${headers.length} of ${headers.length}`);
  });
}

/** The aggregation tree over headers and sum roots, up to the root header on chain. */
export async function checkTree(
  list: Checklist,
  sources: AuditSources<AuditChain>,
  subject: string,
  round: Round,
  onChain: Hex,
): Promise<void> {
  await list.check(
    subject,
    'aggregation tree',
    "SHA-256 over headers and sum roots, against the chain's root",
    () => {
      const roots = round.sumRoots.map((level) => level.map((root) => fromHex(root, 32)));
      const top = aggregationHeaders(sources.hash, round.headers, roots).at(-1)?.[0];
      if (!top) throw new Wrong('it has no root');
      same('the root header', toHex(top), round.rootHeader);
      same('the root header on chain', onChain, round.rootHeader);
    },
  );
}

function recover(header: ManifestHeader, opening: RoundOpening, domain: Round['domain']): string | null {
  const { updateRoot, dimension, samples, steps, signature } = header;
  const { job, round, openHash: opened } = opening;
  return typedDataSigner(
    updateDomain(domain.chainId, domain.jobs),
    updateTypes,
    { job, round, openHash: opened, updateRoot, dimension, samples, steps },
    signature,
  );
}

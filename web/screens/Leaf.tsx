import { useState } from 'preact/hooks';
import { Facts, Hash, Note, Section } from '../parts/basics.js';
import { tokens } from '../text/format.js';
import { strings } from '../text/strings.js';
import type { Standing } from '../verify/rewards.js';
import type { Names } from './Job.js';

/** One account's leaf of the epoch in effect, and the proof that this browser followed. */
export function Leaf({ standings, names }: { standings: ReadonlyMap<string, Standing>; names: Names }) {
  const [chosen, setChosen] = useState('');
  const proved = [...standings.values()].filter(({ claim }) => claim !== null);
  const standing = proved.find(({ account }) => account === chosen) ?? proved[0];
  return (
    <Section title={strings.rewards.leaf}>
      <p class="explain">{strings.rewards.leafExplain}</p>
      {!standing?.claim ? (
        <Note>{strings.rewards.leafNone}</Note>
      ) : (
        <>
          <label>
            {strings.rewards.account}{' '}
            <select value={standing.account} onChange={({ currentTarget }) => setChosen(currentTarget.value)}>
              {proved.map(({ account }) => (
                <option key={account} value={account}>
                  {names(account)} {account.slice(0, 10)}
                </option>
              ))}
            </select>
          </label>
          <Facts
            facts={[
              ['Epoch', String(standing.claim.epoch)],
              ['Place', String(standing.claim.index)],
              ['All it earned', tokens(standing.claim.cumulative)],
              ['The epoch before', tokens(standing.claim.previous)],
              ['Paid already', tokens(standing.paid)],
              ['Sum of those before it', tokens(standing.claim.totalPrefix)],
              ['Its rounds', <Hash value={standing.claim.deltaRoot} />],
              ['Root on chain', <Hash value={standing.claim.root} />],
              [
                'Proof',
                <span>
                  {standing.claim.proof.map((sibling) => (
                    <Hash key={sibling} value={sibling} />
                  ))}
                </span>,
              ],
            ]}
          />
        </>
      )}
    </Section>
  );
}

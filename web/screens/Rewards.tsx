import { signal } from '@preact/signals';
import { ActingButton } from '../parts/ActButton.js';
import { Hash, Note, Section, Waiting } from '../parts/basics.js';
import { Outcome, SourceFields } from '../parts/Verify.js';
import { Table } from '../parts/Table.js';
import { config, sourcesOf } from '../state/config.js';
import { useResource } from '../state/resource.js';
import { earnings, epochs, runners } from '../state/stack.js';
import { verify, type Verification } from '../state/verification.js';
import { tokens } from '../text/format.js';
import { strings } from '../text/strings.js';
import type { Standing } from '../verify/rewards.js';
import { Epochs } from './Epochs.js';
import { namesOf } from './Job.js';
import { Leaf } from './Leaf.js';

/** Kept between visits of the screen. */
const outcome = signal<Verification | null>(null);

export function Rewards() {
  const published = useResource(epochs());
  const paid = published.data.value?.items;
  const told = useResource(earnings()).data.value?.items;
  const names = namesOf(useResource(runners()).data.value?.items ?? []);
  const settings = config.value;
  if (!settings || (!paid && !published.silent.value))
    return <Waiting title={strings.nav.rewards} of={published} />;
  const result = outcome.value;
  const earned = new Map((told ?? []).map(({ runner, amount }) => [runner as string, BigInt(amount)]));
  const standings = new Map<string, Standing>(
    result?.found.standings.map((standing) => [standing.account, standing]),
  );
  // While the API is silent, the chain says who earned what.
  if (!told) for (const { account, earned: sum } of standings.values()) earned.set(account, BigInt(sum));
  return (
    <>
      <h1>{strings.nav.rewards}</h1>
      <Section title="Earned and paid">
        {earned.size === 0 ? (
          <Note>{told ? strings.rewards.none : strings.rewards.fromChain}</Note>
        ) : (
          <Table
            name="rewards"
            caption="Earned and paid"
            stacks
            rows={[...earned].map(([account, amount]) => ({ account, amount: String(amount) }))}
            keyOf={({ account }) => account}
            columns={[
              {
                title: 'Runner',
                show: ({ account }) => <strong>{names(account)}</strong>,
                value: ({ account }) => names(account),
              },
              {
                title: 'Account',
                wide: true,
                show: ({ account }) => <Hash value={account} />,
                value: ({ account }) => account,
              },
              {
                title: 'Credited',
                right: true,
                show: ({ amount }) => (told ? tokens(amount) : '–'),
                value: ({ amount }) => (told ? amount : null),
              },
              {
                title: 'On chain, checked here',
                right: true,
                show: ({ account, amount }) => (
                  <OnChain standing={standings.get(account)} credited={BigInt(amount)} />
                ),
                value: ({ account }) => standings.get(account)?.earned ?? null,
              },
              {
                title: 'Claimed',
                right: true,
                show: ({ account }) => {
                  const standing = standings.get(account);
                  return standing ? tokens(standing.paid) : <span class="quiet">–</span>;
                },
                value: ({ account }) => standings.get(account)?.paid ?? null,
              },
              {
                title: 'To claim',
                right: true,
                show: ({ account }) => (
                  <ClaimButton standing={standings.get(account)} name={names(account)} />
                ),
                value: ({ account }) => claimable(standings.get(account)).toString(),
              },
            ]}
          />
        )}
        <p class="explain">{strings.rewards.explain}</p>
        <SourceFields />
        <div class="buttons">
          <button
            type="button"
            class="primary"
            onClick={() =>
              verify(
                sourcesOf(settings),
                { kind: 'rewards', payer: settings.stack, said: { epochs: paid ?? [] } },
                outcome,
              )
            }
          >
            {strings.rewards.recompute}
          </button>
        </div>
        <Outcome outcome={outcome} trueWords={strings.rewards.isTrue} folded />
      </Section>
      <Leaf standings={standings} names={names} />
      <Epochs />
    </>
  );
}

/** What the epoch in effect proves and was not paid yet; token units. */
function claimable(standing: Standing | undefined): bigint {
  if (!standing?.claim) return 0n;
  const due = BigInt(standing.claim.cumulative) - BigInt(standing.paid);
  return due > 0n ? due : 0n;
}

function ClaimButton({ standing, name }: { standing: Standing | undefined; name: string }) {
  const due = claimable(standing);
  if (!standing?.claim || due === 0n) return <span class="quiet">–</span>;
  const { account, claim } = standing;
  return (
    <>
      {tokens(String(due))}{' '}
      <ActingButton
        label={strings.claim.verb}
        about={name}
        open={({ openClaim }) => openClaim({ account, name, claim })}
      />
    </>
  );
}

/** What was credited since the last epoch is not on chain yet; more on chain than was credited is never right. */
function OnChain({ standing, credited }: { standing: Standing | undefined; credited: bigint }) {
  if (!standing) return <span class="quiet">–</span>;
  const earned = BigInt(standing.earned);
  if (earned > credited) return <span class="false">{tokens(standing.earned)}</span>;
  return (
    <>
      <span class="true">{tokens(standing.earned)}</span>
      {earned < credited && (
        <small class="quiet"> {strings.rewards.unsettled(tokens(String(credited - earned)))}</small>
      )}
    </>
  );
}

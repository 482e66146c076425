import { useMemo } from 'preact/hooks';
import type { Hex } from '#core/hex.js';
import type { VersionView } from '#core/views.js';
import { Age, Command, Facts, Hash, Note, Section, Waiting } from '../parts/basics.js';
import { VerifyVersion } from '../parts/Verify.js';
import { href } from '../state/route.js';
import { useResource } from '../state/resource.js';
import { job as jobOf, versions } from '../state/stack.js';
import { percent } from '../text/format.js';
import { strings } from '../text/strings.js';
import { ModelCard } from './ModelCard.js';
import { Lineage, useLineages } from './Models.js';

export function Version({ id }: { id: string }) {
  const { data, silent } = useResource(versions());
  const { all, note } = useLineages();
  const view = data.value?.items.find(({ model }) => model.versionId === id) ?? null;
  const drawn = all?.find(({ version }) => version === id);
  const members = useMemo(() => all?.filter(({ lineage }) => lineage === drawn?.lineage) ?? [], [all, drawn]);
  if (!data.value && !silent.value) return <Waiting title={strings.nav.models} of={versions()} />;
  const isId = /^0x[0-9a-f]{64}$/.test(id);
  return (
    <>
      <p class="crumbs">
        <a href={href('models')}>{strings.nav.models}</a>
      </p>
      <header class="title">
        <h1>{drawn ? `${drawn.lineage}, version ${drawn.number}` : 'Version'}</h1>
        <Hash value={id} head={14} />
        {drawn?.isVoid && <p class="checked false">{strings.model.voidExplain}</p>}
      </header>
      {data.value && !view && <Note kind="warn">{strings.model.gone}</Note>}
      {view && <Standing view={view} />}
      <Section title={strings.model.verify}>
        {isId && (
          <VerifyVersion version={id as Hex} said={{ version: view, round: null, job: null, credits: [] }} />
        )}
        <Command line={`npx roundtable model verify ${id.slice(0, 12)}`} />
      </Section>
      {isId && <ModelCard version={id as Hex} />}
      {drawn ? (
        <Section title={strings.model.lineage}>
          <Lineage name={drawn.lineage} versions={members} chosen={id} />
        </Section>
      ) : (
        note !== null && <Note>{note}</Note>
      )}
    </>
  );
}

/** What the API says of it, in a line; everything below comes from chain and archive. */
function Standing({ view }: { view: VersionView }) {
  const { job, round, parent, accuracy, updatedAt } = view;
  const name = useResource(jobOf(job)).data.value?.spec.name ?? view.lineage;
  return (
    <Facts
      facts={[
        ['Accuracy', percent(accuracy)],
        [
          'Made by',
          <a href={round === 0 ? href('jobs', job) : href('jobs', job, 'rounds', round)}>
            {round === 0 ? `the start of ${name}` : `round ${round} of ${name}`}
          </a>,
        ],
        ['Made', <Age of={updatedAt} />],
        parent === null ? null : ['Parent', <Hash value={parent} link={href('versions', parent)} />],
      ]}
    />
  );
}

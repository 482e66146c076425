import type { Hex } from '#core/hex.js';
import type { VersionView } from '#core/views.js';
import { Age, Command, Facts, Hash, Note, Section } from '../parts/basics.js';
import { VerifyVersion } from '../parts/Verify.js';
import { config } from '../state/config.js';
import { href } from '../state/route.js';
import { useResource } from '../state/resource.js';
import { versions } from '../state/stack.js';
import { percent } from '../text/format.js';
import { strings } from '../text/strings.js';
import { Lineage } from './Models.js';

export function Version({ id }: { id: string }) {
  const { data, error } = useResource(versions());
  const all = data.value?.items ?? [];
  const view = all.find(({ model }) => model.versionId === id);
  if (!data.value && error.value === null) return <Note>{strings.loading}</Note>;
  return (
    <>
      <p class="crumbs">
        <a href={href('models')}>{strings.nav.models}</a>
      </p>
      <header class="title">
        <h1>{view ? `${view.lineage}, version ${view.number}` : 'Version'}</h1>
        <Hash value={id} head={14} />
      </header>
      {view ? <Card view={view} /> : <Note kind="warn">{strings.model.gone}</Note>}
      <Section title={strings.model.verify}>
        {/^0x[0-9a-f]{64}$/.test(id) && <VerifyVersion version={id as Hex} said={view ?? null} />}
        <Command line={`npx roundtable model verify ${id.slice(0, 12)}`} />
      </Section>
      {view && (
        <Section title={strings.model.lineage}>
          <Lineage versions={all.filter(({ lineage }) => lineage === view.lineage)} chosen={id} />
        </Section>
      )}
    </>
  );
}

function Card({ view }: { view: VersionView }) {
  const { model, archive, job, round, parent, accuracy, updatedAt } = view;
  const gateway = config.value?.gateways[0];
  const link = (file: string) => (gateway === undefined ? {} : { link: `${gateway}/${file}` });
  return (
    <Section title={strings.model.card}>
      <Facts
        facts={[
          ['Accuracy', percent(accuracy)],
          [
            'Made by',
            <a href={round === 0 ? href('jobs', job) : href('jobs', job, 'rounds', round)}>
              {round === 0 ? 'the start of its job' : `round ${round}`}
            </a>,
          ],
          ['Made', <Age of={updatedAt} />],
          parent === null ? null : ['Parent', <Hash value={parent} link={href('versions', parent)} />],
          ['File, SHA-256', <Hash value={model.params} />],
          ['Parameter tree', <Hash value={model.paramsRoot} />],
          ['Graph, SHA-256', <Hash value={model.graph} />],
          ['Steps', <Hash value={model.stepsHash} />],
          ['Model in the archive', <Hash value={archive.model} {...link(archive.model)} />],
          ['Manifest in the archive', <Hash value={archive.manifest} {...link(archive.manifest)} />],
        ]}
      />
      <Command line={`npx roundtable model pull ${model.versionId.slice(0, 12)} --float --out model.onnx`} />
    </Section>
  );
}

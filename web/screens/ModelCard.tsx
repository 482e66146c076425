import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Hex } from '#core/hex.js';
import type { JobSpec } from '#core/jobSpec.js';
import { aggregationName } from '#core/robustNames.js';
import type { GenesisManifest, RoundManifest } from '#core/manifest.js';
import { Facts, Hash, Note, Section } from '../parts/basics.js';
import { Table } from '../parts/Table.js';
import { askChain } from '../state/chain.js';
import { config } from '../state/config.js';
import { count, loss, percent } from '../text/format.js';
import { strings } from '../text/strings.js';
import { missingWords } from '../text/words.js';

interface Told {
  manifest: RoundManifest | GenesisManifest;
  genesis: GenesisManifest;
}

/** What the manifest says of a version, as its hash on chain vouches for it; the API has no part in it. */
export function ModelCard({ version }: { version: Hex }) {
  const [told, setTold] = useState<Told | string | null>(null);
  useEffect(() => {
    let current = true;
    setTold(null);
    askChain<'model'>({ kind: 'model', version, files: false }).then(
      (answer) => current && setTold(answer),
      (error: Error) => current && setTold(error.message),
    );
    return () => void (current = false);
  }, [version]);
  return (
    <Section title={strings.model.card} aside={<p class="explain">{strings.model.cardFrom}</p>}>
      {told === null && <Note>{strings.model.reading}</Note>}
      {typeof told === 'string' && <Note kind="warn">{strings.model.stopped(told)}</Note>}
      {told !== null && typeof told === 'object' && <Card {...told} />}
      {told !== null && typeof told === 'object' && (
        <Tools version={version} input={shapes(told.manifest.hashed.spec.data.input)} />
      )}
    </Section>
  );
}

/** What reads and runs models is a file of its own, fetched by those who look at one. */
function Tools({ version, input }: { version: Hex; input: readonly (readonly number[])[] }) {
  const [shown, setShown] = useState<ComponentChildren>(null);
  useEffect(() => {
    let current = true;
    import('../model/TryIt.js').then(
      ({ TryIt }) => current && setShown(<TryIt version={version} input={input} />),
      () => current && setShown(<Note kind="warn">{strings.model.noTools}</Note>),
    );
    return () => void (current = false);
  }, [version, input]);
  return <>{shown}</>;
}

function Card({ manifest, genesis }: Told) {
  const { hashed, measured } = manifest;
  const { spec } = hashed;
  const round = hashed.kind === 'round' ? hashed : null;
  const samples = round?.headers.reduce((sum, header) => sum + header.samples, 0) ?? null;
  const dimension = round?.headers[0]?.dimension ?? null;
  const { optimizer, epochs, batch } = spec.training;
  return (
    <>
      <Facts
        facts={[
          ['Trained for', spec.data.purpose ?? strings.model.noPurpose],
          [
            'Data',
            `${spec.data.contract}, ${shapes(spec.data.input)
              .map((shape) => shape.join(' × '))
              .join(' and ')}, ${count(spec.data.classes)} classes`,
          ],
          ['Held-out accuracy', percent(measured.accuracy)],
          ['Held-out loss', loss(measured.loss)],
          dimension === null ? null : ['Parameters', count(dimension)],
          round && ['Trained by', `${count(round.headers.length)} runners, ${count(samples)} samples`],
          round && round.missing.length > 0
            ? ['Missing', round.missing.map(({ code }) => missingWords[code]).join(', ')]
            : null,
          ['Training', strings.model.training(optimizer.name, optimizer.lr, epochs, batch)],
          ['Added by', aggregationName(spec.aggregation)],
          ['Coordinator', <Hash value={hashed.coordinator} />],
          round && ['Trained on', trainedOn(round)],
        ]}
      />
      <h3>{strings.model.files}</h3>
      <Files manifest={manifest} genesis={genesis} />
    </>
  );
}

/** Of one sample; a model may have several inputs. */
const shapes = (input: JobSpec['data']['input']): readonly (readonly number[])[] =>
  Array.isArray(input) ? [input] : Object.values(input);

const trainedOn = ({ headers }: RoundManifest['hashed']): string =>
  [
    ...new Set(
      headers.map(
        ({ training }) => `${training.provider} (${training.cpu}), onnxruntime ${training.onnxruntime}`,
      ),
    ),
  ].join('; ');

interface File {
  name: string;
  sha256: string;
  archive: string;
}

function Files({ manifest: { hashed }, genesis }: Told) {
  const gateway = config.value?.gateways[0];
  const files: File[] = [
    { name: 'parameters (int32, safetensors)', sha256: hashed.model.sha256, archive: hashed.model.archive },
    { name: 'graph (ONNX without weights)', ...genesis.hashed.graph },
  ];
  if (hashed.kind === 'round' && hashed.state) files.push({ name: "optimiser's state", ...hashed.state });
  return (
    <Table
      name={`files-${hashed.version.versionId.slice(0, 10)}`}
      caption={strings.model.files}
      rows={files}
      keyOf={({ name }) => name}
      columns={[
        { title: 'File', show: ({ name }) => name, value: ({ name }) => name },
        { title: 'SHA-256', show: ({ sha256 }) => <Hash value={sha256} />, value: ({ sha256 }) => sha256 },
        {
          title: 'In the archive',
          show: ({ archive }) => (
            <Hash value={archive} {...(gateway === undefined ? {} : { link: `${gateway}/${archive}` })} />
          ),
          value: ({ archive }) => archive,
        },
      ]}
    />
  );
}

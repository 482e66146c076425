import { signal } from '@preact/signals';
import { ActTable } from '../parts/ActTable.js';
import { Command, Note, Section } from '../parts/basics.js';
import { Outcome } from '../parts/Verify.js';
import { config, sourcesOf } from '../state/config.js';
import { useResource } from '../state/resource.js';
import { acts } from '../state/stack.js';
import { verify, type Verification } from '../state/verification.js';
import { strings } from '../text/strings.js';

/** Kept between visits of the screen. */
const outcome = signal<Verification | null>(null);

/** Who did what at this stack, as the stack wrote it down, and whether what it wrote is whole. */
export function Acts() {
  const records = useResource(acts()).data.value?.items ?? [];
  const settings = config.value;
  return (
    <Section title={strings.acts.logTitle}>
      {records.length === 0 || !settings ? (
        <Note>{strings.acts.none}</Note>
      ) : (
        <>
          <ActTable records={records} />
          <div class="buttons">
            <button
              type="button"
              onClick={() => verify(sourcesOf(settings), { kind: 'acts', records }, outcome)}
            >
              {strings.acts.check}
            </button>
          </div>
          <Outcome outcome={outcome} trueWords={strings.acts.isTrue} folded />
        </>
      )}
      <Command line="npx roundtable acts --verify" />
    </Section>
  );
}

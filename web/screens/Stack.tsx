import { ActButton } from '../parts/ActButton.js';
import { Age, Command, Facts, Hash, Note, Section } from '../parts/basics.js';
import { Table } from '../parts/Table.js';
import { config } from '../state/config.js';
import { now, useResource } from '../state/resource.js';
import { jobs, queues, triggers } from '../state/stack.js';
import { age, count } from '../text/format.js';
import { strings } from '../text/strings.js';
import { Acts } from './Acts.js';
import { Costs } from './Costs.js';
import { Parts } from './Parts.js';

/** Where everything of this stack is, and whether it answers this browser. */
export function Stack() {
  const settings = config.value;
  const table = useResource(jobs());
  const waiting = useResource(queues()).data.value?.items ?? [];
  const set = useResource(triggers()).data.value?.items ?? [];
  if (!settings) return <Note>{strings.loading}</Note>;
  const { deployment, stack } = settings;
  return (
    <>
      <Section title={strings.nav.stack} top>
        <Facts
          facts={[
            ['Member', <Hash value={stack} />],
            [
              strings.stack.table,
              table.error.value ??
                (table.readAt.value === 0 ? '–' : `read ${age(now.value - table.readAt.value)}`),
            ],
          ]}
        />
      </Section>
      <Parts />
      <Section title={strings.stack.contracts}>
        <Facts
          facts={[
            ['Chain id', String(deployment.chainId)],
            ['Consortium', <Hash value={deployment.consortium} />],
            ['Jobs', <Hash value={deployment.jobs} />],
            ['Rewards', <Hash value={deployment.rewards} />],
            ['Token', <Hash value={deployment.token} />],
            ['From block', count(deployment.block)],
          ]}
        />
      </Section>
      <Section title={strings.stack.queues}>
        <Facts
          facts={waiting.map(({ queue, waiting, dead }) => [
            strings.stack.queueNames[queue],
            dead === 0 ? strings.stack.waiting(waiting) : strings.stack.waitingAndDead(waiting, dead),
          ])}
        />
        {waiting.some(({ letters }) => letters.length > 0) && (
          <>
            <Table
              name="dead-letters"
              caption={strings.stack.deadLetters}
              stacks
              rows={waiting.flatMap(({ queue, letters }) => letters.map((letter) => ({ queue, ...letter })))}
              keyOf={({ id }) => id}
              columns={[
                { title: 'Queue', show: ({ queue }) => queue, value: ({ queue }) => queue },
                { title: 'Since', show: ({ since }) => <Age of={since} />, value: ({ since }) => since },
                { title: 'Code', show: ({ code }) => code ?? '–', value: ({ code }) => code ?? '' },
                { title: 'Why', show: ({ reason }) => reason, value: ({ reason }) => reason },
                {
                  title: 'Message',
                  wide: true,
                  show: ({ message }) => <code>{message}</code>,
                  value: ({ message }) => message,
                },
              ]}
            />
            <div class="buttons">
              {waiting
                .filter(({ dead }) => dead > 0)
                .map(({ queue }) => (
                  <ActButton
                    key={queue}
                    act={{ action: 'queue.redrive', target: queue, name: strings.stack.queueNames[queue] }}
                  />
                ))}
            </div>
            <Command line="npx roundtable queue redrive jobs" />
          </>
        )}
      </Section>
      <Costs />
      <Acts />
      <Section title="Triggers">
        {set.length === 0 ? (
          <Note>No trigger is set up.</Note>
        ) : (
          <Table
            name="triggers"
            caption="Triggers"
            rows={set}
            keyOf={({ name }) => name}
            columns={[
              { title: 'Trigger', show: ({ name }) => <strong>{name}</strong>, value: ({ name }) => name },
              { title: 'Kind', show: ({ kind }) => kind, value: ({ kind }) => kind },
              { title: 'Starts', show: ({ spec }) => spec.name, value: ({ spec }) => spec.name },
              {
                title: 'Refs',
                wide: true,
                show: ({ refs }) => refs.join(', ') || 'any',
                value: ({ refs }) => refs.join(' '),
              },
              {
                title: 'Made',
                show: ({ createdAt }) => <Age of={createdAt} />,
                value: ({ createdAt }) => createdAt,
              },
            ]}
          />
        )}
      </Section>
      <Command line="npx roundtable status" />
    </>
  );
}

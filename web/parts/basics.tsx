import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { now, type Resource } from '../state/resource.js';
import { href } from '../state/route.js';
import { age, moment, short } from '../text/format.js';
import { strings } from '../text/strings.js';

/** A hash, address or id: its ends to read, the whole to copy. */
export function Hash({ value, head, link }: { value: string; head?: number; link?: string }) {
  const text = short(value, head);
  return (
    <span class="hash">
      {link === undefined ? (
        <code title={value}>{text}</code>
      ) : (
        <a href={link} title={value}>
          <code>{text}</code>
        </a>
      )}
      <Copy value={value} what={text} />
    </span>
  );
}

/** @param what it is, for those who do not see where the button stands */
export function Copy({ value, what }: { value: string; what: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(value);
    setCopied(true);
    setTimeout(() => setCopied(false), 1_200);
  };
  return (
    <button type="button" class="copy" onClick={copy} aria-label={`${strings.copy} ${what}`}>
      {copied ? '✓' : <CopyIcon />}
    </button>
  );
}

function CopyIcon() {
  return (
    <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
      <rect x="1" y="1" width="7" height="7" rx="1" />
      <path d="M10.5 4v6.5H4" />
    </svg>
  );
}

/** A time as its age, with the moment itself in the title. */
export function Age({ of }: { of: string }) {
  return (
    <time dateTime={of} title={moment(of)}>
      {age(now.value - Date.parse(of))}
    </time>
  );
}

export function Badge({ kind, children }: { kind: string; children: ComponentChildren }) {
  return <span class={`badge ${kind}`}>{children}</span>;
}

/** Names and values; what is null is left out. */
export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren] | null)[] }) {
  return (
    <dl class="facts">
      {facts.map(
        (fact) =>
          fact && (
            <div key={fact[0]}>
              <dt>{fact[0]}</dt>
              <dd>{fact[1]}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

export function Section({
  title,
  children,
  aside,
  top = false,
}: {
  title: string;
  children: ComponentChildren;
  aside?: ComponentChildren;
  /** The screen's own title. */
  top?: boolean;
}) {
  return (
    <section>
      <header class="head">
        {top ? <h1>{title}</h1> : <h2>{title}</h2>}
        {aside}
      </header>
      {children}
    </section>
  );
}

/** A screen whose data is not there yet, or will not come while the API is silent. */
export function Waiting<T>({ title, of }: { title: string; of: Resource<T> }) {
  return (
    <>
      <h1>{title}</h1>
      {of.silent.value ? (
        <Note kind="warn">
          {strings.without} <a href={href('models')}>{strings.nav.models}</a>,{' '}
          <a href={href('rewards')}>{strings.nav.rewards}</a>, <a href={href('stack')}>{strings.nav.stack}</a>
        </Note>
      ) : (
        <Note>{of.error.value ?? strings.loading}</Note>
      )}
    </>
  );
}

/** What a person types for the same thing. */
export function Command({ line }: { line: string }) {
  return (
    <p class="command">
      <span>{strings.command}</span> <code>{line}</code>
    </p>
  );
}

export function Note({ children, kind = '' }: { children: ComponentChildren; kind?: string }) {
  return <p class={`note ${kind}`}>{children}</p>;
}

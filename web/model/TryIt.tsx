import { useRef, useState } from 'preact/hooks';
import type { Hex } from '#core/hex.js';
import { Command, Section } from '../parts/basics.js';
import { saveFile } from '../parts/Table.js';
import { askChain } from '../state/chain.js';
import { percent } from '../text/format.js';
import { strings } from '../text/strings.js';
import type { ModelFiles } from '../verify/model.js';
import { examples, picture, type Stroke } from './digit.js';
import { asOnnx, asSafetensors, openNetwork, type Network } from './network.js';
import { softmax } from './operators.js';

/** Takes a model along, or shows a digit to it; its files are hashed against the chain first. */
export function TryIt({ version, input }: { version: Hex; input: readonly (readonly number[])[] }) {
  const [note, setNote] = useState('');
  const files = useRef<Promise<ModelFiles> | null>(null);
  const fetched = (): Promise<ModelFiles> => {
    files.current ??= askChain<'model'>({ kind: 'model', version, files: true }).then(({ files: found }) => {
      if (!found) throw new Error('no files came');
      return found;
    });
    files.current.catch(() => (files.current = null));
    return files.current;
  };
  const take = async (name: string, make: (from: ModelFiles) => Uint8Array<ArrayBuffer>) => {
    setNote(strings.model.reading);
    try {
      saveFile(`${version.slice(0, 12)}.${name}`, 'application/octet-stream', make(await fetched()));
      setNote(strings.model.taken);
    } catch (error) {
      setNote(strings.model.stopped((error as Error).message));
    }
  };
  return (
    <>
      <Section title={strings.model.take}>
        <div class="buttons">
          <button type="button" onClick={() => take('onnx', asOnnx)}>
            ONNX (float32)
          </button>
          <button type="button" onClick={() => take('safetensors', asSafetensors)}>
            safetensors (float32)
          </button>
          <button type="button" onClick={() => take('int32.safetensors', ({ parameters }) => parameters)}>
            {strings.model.asAnchored}
          </button>
        </div>
        <p class="explain" role="status">
          {note}
        </p>
        <Command line={`npx roundtable model pull ${version.slice(0, 12)} --float --out model.onnx`} />
      </Section>
      {input.length === 1 && product(input[0] ?? []) === pixels && (
        <Section title={strings.model.tryIt}>
          <Drawing fetched={fetched} />
        </Section>
      )}
    </>
  );
}

/** A model of pictures of this size can be shown a digit. */
const pixels = 28 * 28;
const size = 224;

function Drawing({ fetched }: { fetched: () => Promise<ModelFiles> }) {
  const [strokes, show] = useState<readonly Stroke[]>([]);
  /** Points come faster than pictures are drawn. */
  const drawn = useRef<readonly Stroke[]>([]);
  const [answer, setAnswer] = useState<{ shares: Float32Array } | string | null>(null);
  const network = useRef<Network | null>(null);
  const isDown = useRef(false);
  const draw = (next: readonly Stroke[]) => {
    drawn.current = next;
    show(next);
  };
  const ask = async () => {
    try {
      network.current ??= openNetwork(await fetched());
      setAnswer({ shares: softmax(network.current.run(picture(drawn.current))) });
    } catch (error) {
      setAnswer((error as Error).message);
    }
  };
  return (
    <div class="tryit">
      <div>
        <svg
          class="paper"
          width={size}
          height={size}
          role="img"
          aria-label={strings.model.paper}
          onPointerDown={(event) => {
            isDown.current = true;
            event.currentTarget.setPointerCapture(event.pointerId);
            draw([...drawn.current, [point(event)]]);
          }}
          onPointerMove={(event) => {
            if (!isDown.current) return;
            const last = drawn.current.at(-1) ?? [];
            draw([...drawn.current.slice(0, -1), [...last, point(event)]]);
          }}
          onPointerUp={() => {
            isDown.current = false;
            void ask();
          }}
        >
          {strokes.map((stroke, i) => (
            <polyline key={i} points={stroke.map(([x, y]) => `${x},${y}`).join(' ')} />
          ))}
        </svg>
        <div class="buttons" role="group" aria-label={strings.model.examples}>
          {examples.map((example, digit) => (
            <button
              key={digit}
              type="button"
              onClick={() => {
                draw(placed(example));
                void ask();
              }}
            >
              {digit}
            </button>
          ))}
          <button
            type="button"
            onClick={() => {
              draw([]);
              setAnswer(null);
            }}
          >
            {strings.model.clear}
          </button>
        </div>
        <p class="explain">{strings.model.tryExplain}</p>
      </div>
      <Answer answer={answer} />
    </div>
  );
}

function Answer({ answer }: { answer: { shares: Float32Array } | string | null }) {
  if (answer === null) return <p class="explain">{strings.model.drawOne}</p>;
  if (typeof answer === 'string') return <p class="note warn">{answer}</p>;
  const shares = [...answer.shares];
  const best = shares.indexOf(Math.max(...shares));
  return (
    <div class="answer">
      <p class="verdict" role="status">
        {strings.model.itIs(best, percent(shares[best] ?? 0))}
      </p>
      <ol>
        {shares.map((share, digit) => (
          <li key={digit}>
            <span>{digit}</span>{' '}
            <meter min={0} max={1} value={share} aria-label={`${digit}: ${percent(share)}`} />{' '}
            <span class="quiet">{percent(share)}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}

const point = ({ offsetX, offsetY }: PointerEvent): readonly [number, number] => [offsetX, offsetY];
const product = (shape: readonly number[]): number => shape.reduce((all, size) => all * size, 1);
const placed = (strokes: readonly Stroke[]): Stroke[] =>
  strokes.map((stroke) => stroke.map(([x, y]) => [32 + x * 160, 32 + y * 160] as const));

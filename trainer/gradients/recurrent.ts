import { unsupported } from '../shapes/values.js';
import type { GradientRule, NodeGradient } from './nodeGradient.js';
import { gru } from './recurrent/gru.js';
import { lstm } from './recurrent/lstm.js';
import { rnn } from './recurrent/rnn.js';

/** Backpropagation through time: only what truly depends on the step after it runs step by step, in a Scan. */
export const recurrentGradients: Record<string, GradientRule> = {
  LSTM: (g) => {
    checkUsual(g);
    return lstm(g);
  },
  GRU: (g) => {
    checkUsual(g);
    return gru(g);
  },
  RNN: (g) => {
    checkUsual(g);
    return rnn(g, activationsOf(g));
  },
};

function checkUsual(g: NodeGradient): void {
  if (g.node.attribute.some(({ name }) => ['activations', 'clip'].includes(name)) && !isUsual(g))
    throw unsupported(g.node, 'has activations of its own, or clips');
}

/** The defaults written out, of a plain RNN also Relu, and no clipping. */
function isUsual(g: NodeGradient): boolean {
  if (g.node.attribute.some(({ name }) => name === 'clip')) return false;
  const names = activationsOf(g);
  if (g.node.opType === 'RNN') return names.every((name) => name === 'Tanh' || name === 'Relu');
  const usual = g.node.opType === 'LSTM' ? ['Sigmoid', 'Tanh', 'Tanh'] : ['Sigmoid', 'Tanh'];
  return names.every((name, at) => name === usual[at % usual.length]);
}

function activationsOf(g: NodeGradient): string[] {
  const names = g.node.attribute.find(({ name }) => name === 'activations')?.strings ?? [];
  return names.map((name) => new TextDecoder().decode(name));
}

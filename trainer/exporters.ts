/**
 * What PyTorch's two exporters do to a model's weights, undone before anything else looks at the graph. Behind every
 * rewritten weight they leave a trace: TorchScript an Identity named like the parameter, the newer exporter the call
 * that used it (`pkg.torch.onnx.fx_node`, in which %p_NAME is a parameter, with dots as underscores, and %b_NAME a buffer).
 */
import { TensorProto_DataType as DataType, type GraphProto } from './onnx/onnx.gen.js';
import { tieDerived } from './exporters/derived.js';
import { flattenSequences, narrowDoubles } from './exporters/forms.js';
import { separateMerged, separateNamed } from './exporters/merged.js';
import { separatePlainNorms, separateStatistics } from './exporters/norms.js';
import { joinRepeated, separateLayers } from './exporters/repeated.js';
import { liftConstants, restoreZeroBiases, tieTransposed } from './exporters/rewritten.js';
import { restorePadding } from './padding.js';

/** Rewrites the graph in place: merged weights apart again, transposed copies back to one, sequences to slices. */
export function undoExport(graph: GraphProto): void {
  inputsAlone(graph);
  narrowDoubles(graph);
  flattenSequences(graph);
  separateNamed(graph);
  joinRepeated(graph);
  separateLayers(graph);
  separatePlainNorms(graph);
  separateMerged(graph);
  separateStatistics(graph);
  tieTransposed(graph);
  tieDerived(graph);
  restoreZeroBiases(graph);
  if (!graph.initializer.some(({ dataType }) => dataType === DataType.FLOAT)) liftConstants(graph);
  restorePadding(graph);
}

/** Where initialisers may be replaced from outside, they stand among the inputs too. */
function inputsAlone(graph: GraphProto): void {
  const names = new Set(graph.initializer.map(({ name }) => name));
  graph.input = graph.input.filter(({ name }) => !names.has(name));
}
